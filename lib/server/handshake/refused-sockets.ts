import type { WebSocket } from 'ws'
import type { CloseCode } from '../../protocol/close-codes.js'
import { dismiss } from '../connection/dismiss.js'
import type { Timers } from '../../time/timers.js'

export interface RefusedSocketsParts {
  /** Maximum number of sockets. */
  limit: number
  timers: Timers
  /** Called when one of them is closed. */
  onGone: () => void
}

/** WebSockets that are refused: each gets a close code, and is kept until it is closed. */
export class RefusedSockets {
  readonly #parts: RefusedSocketsParts
  /** The oldest first. */
  readonly #sockets = new Set<WebSocket>()

  constructor (parts: RefusedSocketsParts) {
    this.#parts = parts
  }

  get size (): number {
    return this.#sockets.size
  }

  /** Closes a socket. Over the limit, terminates the oldest one: refused clients must not keep admitted ones out. */
  add (socket: WebSocket, code: CloseCode): void {
    const { limit, timers, onGone } = this.#parts
    if (this.#sockets.size >= limit) this.#oldest().terminate()
    this.#sockets.add(socket)
    // What a client did wrong is answered with a Close by `ws`, and every loss ends in 'close'.
    socket.on('error', () => {})
    socket.once('close', () => {
      this.#sockets.delete(socket)
      onGone()
    })
    dismiss(socket, code, timers)
  }

  #oldest (): WebSocket {
    const [oldest] = this.#sockets
    this.#sockets.delete(oldest)
    return oldest
  }

  terminate (): void {
    for (const socket of this.#sockets) socket.terminate()
  }
}

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

/** WebSockets that will not be connections: they are told why, and are kept until they are closed. */
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

  /** Closes a socket. Over the limit the oldest one is terminated: who may not connect must not keep those out who may. */
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

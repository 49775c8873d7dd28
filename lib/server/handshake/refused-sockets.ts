import type { WebSocket } from 'ws'
import type { CloseCode } from '../../protocol/close-codes.js'
import { dismiss } from '../connection/dismiss.js'
import type { Timers } from '../../time/timers.js'

export interface RefusedSocketsParts {
  /** Maximum number of sockets. */
  limit: number
  timers: Timers
  /** Called when one of the sockets is closed. */
  onGone: () => void
}

/** Refused WebSockets: each gets a close code, and is kept until it is closed. */
export class RefusedSockets {
  readonly #parts: RefusedSocketsParts
  /** Oldest first. */
  readonly #sockets = new Set<WebSocket>()

  constructor (parts: RefusedSocketsParts) {
    this.#parts = parts
  }

  get size (): number {
    return this.#sockets.size
  }

  /** Closes a socket. Over the limit, terminates the oldest one: refused clients must not keep out admitted ones. */
  add (socket: WebSocket, code: CloseCode): void {
    const { limit, timers, onGone } = this.#parts
    if (this.#sockets.size >= limit) this.#oldest().terminate()
    this.#sockets.add(socket)
    // `ws` answers protocol errors with a Close, and every failure ends in 'close'.
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

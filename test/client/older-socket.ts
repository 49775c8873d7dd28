import { WebSocket } from 'ws'
import type { WebSocketLike } from '../../lib/client/index.js'

/** A WebSocket that looks like one to an older server: it removes the limits from `connection_ack`. */
export class OlderSocket implements WebSocketLike {
  onmessage: WebSocketLike['onmessage'] = null
  onclose: WebSocketLike['onclose'] = null
  onerror: WebSocketLike['onerror'] = null
  readonly #socket: WebSocket

  constructor (url: string, protocols?: string[]) {
    this.#socket = new WebSocket(url, protocols)
    this.#socket.onmessage = ({ data }) => this.onmessage?.({ data: String(data).replace(/,"limits":\{[^}]*\}/, '') })
    this.#socket.onclose = event => this.onclose?.(event)
    this.#socket.onerror = event => this.onerror?.(event)
  }

  send (data: string): void {
    this.#socket.send(data)
  }

  close (code?: number): void {
    this.#socket.close(code)
  }
}

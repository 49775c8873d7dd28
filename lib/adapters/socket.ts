import { parse } from '../client/frame.js'
import type { WebSocketConstructor, WebSocketLike } from '../client/socket.js'
import type { ControlMessages } from '../protocol/envelope.js'
import { parsePosition } from '../protocol/position.js'
import { Replay } from './replay.js'

/** Events of a subscription that a client does not report. */
export interface Overheard {
  /** The server has subscribed, and the replay follows. `epoch`: the epoch of the chat's log. `recovered`: no publication was missed. */
  onConnected (epoch: string | undefined, recovered: boolean): void
  /** Everything that the server retained when it subscribed has arrived. */
  onReplayed (): void
}

/** Returns a WebSocket constructor that also reports the end of the replay. */
export function listening (WebSocket: WebSocketConstructor, { onConnected, onReplayed }: Overheard): WebSocketConstructor {
  return class implements WebSocketLike {
    onmessage: WebSocketLike['onmessage'] = null
    onclose: WebSocketLike['onclose'] = null
    onerror: WebSocketLike['onerror'] = null
    readonly #socket: WebSocketLike
    readonly #replay = new Replay()

    constructor (url: string, protocols?: string[]) {
      this.#socket = new WebSocket(url, protocols)
      this.#socket.onclose = event => this.onclose?.(event)
      this.#socket.onerror = event => this.onerror?.(event)
      this.#socket.onmessage = event => {
        this.onmessage?.(event)
        if (!this.#replay.isDone) this.#look(event.data)
      }
    }

    send (text: string): void {
      this.#socket.send(text)
    }

    close (code?: number, reason?: string): void {
      this.#socket.close(code, reason)
    }

    #look (frame: unknown): void {
      const { type, id, data } = parse(frame) ?? {}
      if (type === 'connection_ack') {
        const { position, recovered, replayed } = data as ControlMessages['connection_ack']
        this.#replay.start(replayed)
        onConnected(parsePosition(position)?.position.epoch, recovered === true)
      } else if (type === 'pong') this.#replay.answered()
      else if (id !== undefined) this.#replay.advance()
      else return
      if (this.#replay.isToldOver()) onReplayed()
      else if (this.#replay.isToAsk()) this.#socket.send('{"type":"ping"}')
    }
  }
}

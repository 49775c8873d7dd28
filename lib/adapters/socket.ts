import { parse } from '../client/frame.js'
import type { WebSocketConstructor, WebSocketLike } from '../client/socket.js'
import type { ControlMessages } from '../protocol/envelope.js'
import { parsePosition } from '../protocol/position.js'

/** Events of a connection that a client does not report. */
export interface Overheard {
  /** The ack arrived, and the replay follows. `epoch`: the epoch of the chat's log. `recovered`: no publication was missed. */
  onConnected (epoch: string | undefined, recovered: boolean): void
  /** Everything that the server retained when the connection was opened has arrived. */
  onReplayed (): void
}

/**
 * Returns a WebSocket constructor that also reports the end of the replay. Only then is it known which runs are live and which are over.
 * The ack has the number of replayed frames. If the server has evicted some of them meanwhile, the replay ends with a ping that is
 * answered without a frame in between.
 */
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

/** Progress of a replay. */
class Replay {
  /** Whether the replay is over and this was reported. */
  isDone = false
  #frames: number | undefined
  #isOver = false
  #isAsked = false
  #heard = 0
  #heardWhenAsked = 0

  start (frames: number): void {
    this.#frames = frames
    this.#isOver = frames === 0
  }

  advance (): void {
    this.#heard++
    if (this.#heard === this.#frames) this.#isOver = true
  }

  answered (): void {
    if (!this.#isAsked) return
    this.#isAsked = false
    if (this.#heard === this.#heardWhenAsked) this.#isOver = true
  }

  /** Whether the end of the replay must be reported now. Returns `true` once. */
  isToldOver (): boolean {
    if (!this.#isOver || this.isDone) return false
    this.isDone = true
    return true
  }

  isToAsk (): boolean {
    if (this.#isAsked || this.#frames === undefined) return false
    this.#isAsked = true
    this.#heardWhenAsked = this.#heard
    return true
  }
}

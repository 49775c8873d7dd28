import { parse } from '../client/frame.js'
import type { WebSocketConstructor, WebSocketLike } from '../client/socket.js'
import type { ControlMessages } from '../protocol/envelope.js'
import { comparePositions, parsePosition, type Position } from '../protocol/position.js'

/** Told what a client of a chat cannot tell. */
export interface Replayed {
  /** The server has answered: what it retained comes now. `epoch` is that of the chat's log. */
  onConnected (epoch: string): void
  /** All that the server retained when it was connected to has come. */
  onReplayed (): void
}

/**
 * The WebSocket constructor, with somebody listening for the end of the replay: what is live, and what is over, is not
 * known before. That end is the last publication before the connection was made. Where that is withheld from this user, it is
 * a ping that is answered without anything in between.
 */
export function listening (WebSocket: WebSocketConstructor, { onConnected, onReplayed }: Replayed): WebSocketConstructor {
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
        const { position, replayed } = data as ControlMessages['connection_ack']
        this.#replay.start(position, replayed)
        onConnected(this.#replay.epoch)
      } else if (type === 'pong') this.#replay.answered()
      else if (id !== undefined) this.#replay.advance(id)
      else return
      if (this.#replay.isToldOver()) onReplayed()
      else if (this.#replay.isToAsk()) this.#socket.send('{"type":"ping"}')
    }
  }
}

/** How far a replay has come. */
class Replay {
  /** It is over, and that was told. */
  isDone = false
  #head: Position | undefined
  #isOver = false
  #isAsked = false
  #heard = 0
  #heardWhenAsked = 0

  get epoch (): string {
    return this.#head?.epoch ?? ''
  }

  start (position: string, replayed: number): void {
    const start = parsePosition(position)?.position
    if (start !== undefined) this.#head = { epoch: start.epoch, offset: start.offset + replayed }
    this.#isOver = start === undefined || replayed === 0
  }

  advance (id: string): void {
    this.#heard++
    const position = parsePosition(id)?.position
    // Of another epoch: the log has begun anew, and with it what is to be heard.
    if (position !== undefined && this.#head !== undefined && !(comparePositions(position, this.#head) < 0)) this.#isOver = true
  }

  answered (): void {
    if (!this.#isAsked) return
    this.#isAsked = false
    if (this.#heard === this.#heardWhenAsked) this.#isOver = true
  }

  /** `true` once. */
  isToldOver (): boolean {
    if (!this.#isOver || this.isDone) return false
    this.isDone = true
    return true
  }

  isToAsk (): boolean {
    if (this.#isAsked || this.#head === undefined) return false
    this.#isAsked = true
    this.#heardWhenAsked = this.#heard
    return true
  }
}

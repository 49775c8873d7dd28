import type { WebSocketLike } from '../../lib/client/index.js'

/** A WebSocket that the test controls, for tests with a clock of their own. */
export class FakeSocket implements WebSocketLike {
  static made: FakeSocket[] = []
  readonly url: string
  readonly protocols: string[] | undefined
  readonly sent: Array<Record<string, unknown>> = []
  isClosed = false
  /** Code of `close`. */
  closedWith: number | undefined
  onmessage: WebSocketLike['onmessage'] = null
  onclose: WebSocketLike['onclose'] = null
  onerror: WebSocketLike['onerror'] = null

  constructor (url: string, protocols?: string[]) {
    this.url = url
    this.protocols = protocols
    FakeSocket.made.push(this)
  }

  static get last (): FakeSocket {
    return FakeSocket.made.at(-1)!
  }

  send (data: string): void {
    this.sent.push(JSON.parse(data))
  }

  close (code?: number): void {
    this.isClosed = true
    this.closedWith = code
  }

  receive (frame: object): void {
    this.onmessage?.({ data: JSON.stringify(frame) })
  }

  /** Receives an ack. The default user is the one of the path. */
  ack (data: object = {}): void {
    const userId = new URL(this.url).pathname.split('/').at(-1)
    this.receive({ type: 'connection_ack', data: { user_id: userId, connection_id: 'c', position: 'u.e.0,b.f.0', replayed: 0, heartbeat_ms: 25_000, ...data } })
  }

  lose (code = 1006, reason = ''): void {
    this.onclose?.({ code, reason })
  }
}

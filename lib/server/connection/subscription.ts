import type { Frame, Log, Reader } from '../../logs/log.js'
import { formatPosition } from '../../protocol/position.js'
import type { Identity } from '../hooks.js'
import type { ChannelKind } from '../kinds.js'

/** Whoever reads through subscriptions: a connection. */
export interface Subscriber {
  /** It takes compressed frames. */
  readonly isDeflated: boolean
  /** Current identity of the connection. */
  readonly identity: Identity
  /** Something can be read; `audience` is how many were told so. */
  wake (audience: number): void
  flush (): boolean
}

/** A connection's cursor in one channel's log. */
export class Subscription implements Reader {
  readonly kind: ChannelKind
  readonly log: Log
  offset: number
  epoch: string
  seat = -1
  ahead: Map<object, number> | undefined
  withheld: WeakSet<object> | undefined
  readonly isDeflated: boolean
  readonly sees: Reader['sees']
  readonly #subscriber: Subscriber

  /** Starts at `offset` of the log's present epoch. */
  constructor (subscriber: Subscriber, kind: ChannelKind, log: Log, offset: number) {
    this.#subscriber = subscriber
    this.isDeflated = subscriber.isDeflated
    const { isSeen } = kind
    this.sees = isSeen && (message => isSeen(message, subscriber.identity))
    this.kind = kind
    this.log = log
    this.offset = offset
    this.epoch = log.epoch
    log.add(this)
  }

  wake (): void {
    this.#subscriber.wake(this.log.readers.length)
  }

  catchUp (): void {
    this.#subscriber.flush()
  }

  get position (): string {
    return formatPosition(this.kind.label, this)
  }

  /** How many frames it has not read. */
  get behind (): number {
    return this.log.behind(this)
  }

  isLost (): boolean {
    return this.log.isLost(this)
  }

  skipToHead (): void {
    this.log.skipToHead(this)
  }

  read (room: number, textOnly: boolean): Frame {
    return this.log.read(this, room, textOnly)
  }

  end (): void {
    this.log.remove(this)
  }
}

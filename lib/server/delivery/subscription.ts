import type { Frame, Log, Reader } from '../../logs/log.js'
import { formatPosition } from '../../protocol/position.js'
import type { Identity } from '../hooks.js'
import type { ChannelKind } from '../kinds.js'

/** Reads through subscriptions: a connection. */
export interface Subscriber {
  /** Whether it takes compressed frames. */
  readonly isDeflated: boolean
  /** Current identity of the connection. */
  readonly identity: Identity
  /** Called when the app has removed the user from the channel of a subscription. */
  onRemoved (subscription: Subscription): void
  /** Called when it is not known whether the app has removed the user from the channel of a subscription. */
  onDoubt (subscription: Subscription): void
  /** Called when a subscription has something to read. `audience`: number of subscribers that are woken. */
  wake (subscription: Subscription, audience: number): void
  /** Called when a log is about to evict publications that a subscription has not read. */
  catchUp (): void
}

/** Log of a channel, with the kind of the channel. */
export interface OpenChannel {
  readonly kind: ChannelKind
  readonly channel: string
  readonly log: Log
}

/** Cursor of a connection in the log of one channel. */
export class Subscription implements Reader {
  readonly kind: ChannelKind
  readonly channel: string
  readonly log: Log
  /** Offset at which it started: the connection got everything between this offset and the current one. */
  readonly start: number
  offset: number
  epoch: string
  seat = -1
  joined = 0
  ahead: Map<object, number> | undefined
  /** Subscription of the same connection that is read after this one; `null` if this is the last, `undefined` if it is not queued. */
  next: Subscription | null | undefined
  readonly sees: Reader['sees']
  readonly #subscriber: Subscriber

  /** Starts at `offset` of the current epoch of the log. */
  constructor (subscriber: Subscriber, { kind, channel, log }: OpenChannel, offset: number) {
    this.#subscriber = subscriber
    this.channel = channel
    this.start = offset
    const { isSeen } = kind
    this.sees = isSeen && (message => isSeen(message, subscriber.identity))
    this.kind = kind
    this.log = log
    this.offset = offset
    this.epoch = log.epoch
    log.add(this)
  }

  get isDeflated (): boolean {
    return this.#subscriber.isDeflated
  }

  wake (): void {
    this.#subscriber.wake(this, this.log.readers.length)
  }

  catchUp (): void {
    this.#subscriber.catchUp()
  }

  /** Called when the app has removed a user from the channel. */
  onRemoved (userId: string): void {
    if (userId === this.#subscriber.identity.userId) this.#subscriber.onRemoved(this)
  }

  onDoubt (): void {
    this.#subscriber.onDoubt(this)
  }

  get position (): string {
    return formatPosition(this.kind.label, this)
  }

  /** Number of frames that it has not read. */
  get behind (): number {
    return this.log.behind(this)
  }

  /** Whether it has not read everything. */
  get isBehind (): boolean {
    return this.offset !== this.log.head || this.epoch !== this.log.epoch
  }

  isLost (): boolean {
    return this.log.isLost(this)
  }

  skipToHead (): void {
    this.log.skipToHead(this)
  }

  /** Has read nothing from now on, for logs that send a state to such readers. */
  forget (): void {
    this.epoch = ''
  }

  read (room: number, textOnly: boolean): Frame {
    return this.log.read(this, room, textOnly)
  }

  end (): void {
    this.log.remove(this)
  }
}

import type { Frame, Log, Reader } from '../brokers/log.js'
import type { Message } from '../protocol/envelope.js'
import { formatPosition, type Label } from '../protocol/position.js'

/** Whoever reads through subscriptions: a connection. */
export interface Subscriber {
  /** It takes compressed frames. */
  readonly isDeflated: boolean
  /** Whether it may read a publication; default: all. */
  readonly sees?: ((message: Message) => boolean) | undefined
  /** Something can be read; `audience` is how many were told so. */
  wake (audience: number): void
  flush (): boolean
}

/** A connection's cursor in one channel's log. */
export class Subscription implements Reader {
  readonly label: Label
  readonly log: Log
  offset: number
  epoch: string
  seat = -1
  ahead: Map<object, number> | undefined
  withheld: WeakSet<object> | undefined
  readonly isDeflated: boolean
  readonly sees: Subscriber['sees']
  readonly #subscriber: Subscriber

  /** Starts at `offset` of the log's present epoch. */
  constructor (subscriber: Subscriber, label: Label, log: Log, offset: number) {
    this.#subscriber = subscriber
    this.isDeflated = subscriber.isDeflated
    this.sees = subscriber.sees
    this.label = label
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
    return formatPosition(this.label, this)
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

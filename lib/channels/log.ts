import { ChannelLog } from '../logs/channel-log.js'
import type { FrameOf, LogLimits, Reader } from '../logs/log.js'
import { removedUser } from './removal.js'

/** Log of a channel of the app. Besides publications it contains removals of users, which no reader gets as a frame. */
export class AppLog extends ChannelLog {
  /** Offsets of the retained removals, in ascending order. */
  #removals: number[] = []

  constructor (epoch: string, limits: LogLimits, frameOf: FrameOf) {
    super(epoch, limits, (position, body) => removedUser(body) === undefined ? frameOf(position, body) : '')
  }

  override append (body: string, now: number): void {
    super.append(body, now)
    const userId = removedUser(body)
    if (userId === undefined) return
    this.#removals = [...this.#removals.filter(offset => offset > this.evicted), this.head]
    // Backwards, because a reader that ends gives its seat to the last one.
    for (let seat = this.readers.length - 1; seat >= 0; seat--) this.readers[seat]?.onRemoved?.(userId)
  }

  /** Number of publications that a reader has not read, without removals. */
  override behind (reader: Reader): number {
    const { length } = this.#removals
    const removals = length === 0 ? 0 : this.#removals.filter(offset => offset > reader.offset).length
    return super.behind(reader) - removals
  }

  /** Another incarnation may lack removals, so the readers have to ask again whether they may read. */
  override reset (epoch: string, head?: number): void {
    this.#removals = []
    super.reset(epoch, head)
    for (let seat = this.readers.length - 1; seat >= 0; seat--) this.readers[seat]?.onDoubt?.()
  }
}

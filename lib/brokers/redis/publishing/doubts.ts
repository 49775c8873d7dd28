import type { Position } from '../../../protocol/position.js'
import { find } from '../commands/find.js'
import type { Keys } from '../keys.js'
import type { RedisLink } from '../link/link.js'
import { isOver, type Batch, type PendingPublication } from './batch.js'
import type { RedisClock } from '../clock.js'
import type { Traffic } from './traffic.js'

export interface DoubtsParts {
  link: RedisLink
  keys: Keys
  clock: RedisClock
  traffic: Traffic
  /** Maximum time between the sending of a batch and its deadline, in ms. */
  storedWithin: number
  onFound: (publication: PendingPublication, position: Position) => void
  onMissing: (publication: PendingPublication) => void
}

/** Batches whose connection was lost. Asks Redis whether they were stored. */
export class Doubts {
  readonly #parts: DoubtsParts
  readonly #batches = new Set<Batch>()

  constructor (parts: DoubtsParts) {
    this.#parts = parts
  }

  get size (): number {
    return this.#batches.size
  }

  get batches (): Batch[] {
    return [...this.#batches]
  }

  /** Adds a batch, unless it is completely settled. */
  add (batch: Batch): void {
    if (!isOver(batch)) this.#batches.add(batch)
  }

  /** Drops a batch that is completely settled. */
  drop (batch: Batch): void {
    if (isOver(batch)) this.#batches.delete(batch)
  }

  /** Asks Redis about all batches whose deadline has passed: only then is its answer final. `now`: monotonic clock, in ms. */
  ask (now: number): void {
    for (const batch of this.#batches) this.#ask(batch, now)
  }

  #ask (batch: Batch, now: number): void {
    const { link, clock, traffic } = this.#parts
    const canTell = (clock.at(now) ?? -Infinity) > batch.deadline
    if (!canTell || !link.isReady) return
    this.#batches.delete(batch)
    traffic.sent(batch)
    const asked = [...batch.channels].map(([channel, publications]) => this.#find(batch, channel, publications))
    Promise.all(asked).then(() => {
      traffic.answered(batch)
      this.add(batch)
    })
  }

  async #find (batch: Batch, channel: string, publications: PendingPublication[]): Promise<void> {
    const { link, keys, storedWithin, onFound, onMissing } = this.#parts
    const stream = keys.stream(channel)
    const marks = publications.map(({ mark }) => mark)
    const since = batch.deadline - storedWithin
    try {
      const { now, epoch, offsets } = await find(link, { stream, meta: keys.meta(stream), since, marks })
      for (const [at, publication] of publications.entries()) {
        const offset = offsets[at]
        if (offset > 0) onFound(publication, { epoch, offset })
        else if (offset === 0 && now > batch.deadline) onMissing(publication)
      }
    } catch {
      // The health knows. The request is repeated later, until it is too late.
    }
  }
}

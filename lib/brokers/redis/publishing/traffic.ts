import type { Batch } from './batch.js'

/** Time without an answer, as a number of round trips, within bounds in ms. */
export interface Silence {
  readonly roundTrips: number
  readonly least: number
  readonly most: number
}

/** Sent batches without an answer, and the time that Redis takes to answer. */
export class Traffic {
  readonly #batches = new Set<Batch>()
  /** Time until which received answers have been read, on the monotonic clock. None is read while the event loop is blocked. */
  #readAt = -Infinity
  /** Current time of an answer, in ms. */
  #roundTrip = 0
  /** Servers to which the last write failed. The next check tries again. */
  readonly #heldUp = new Set<string | undefined>()

  get size (): number {
    return this.#batches.size
  }

  get batches (): Batch[] {
    return [...this.#batches]
  }

  sent (batch: Batch): void {
    this.#batches.add(batch)
  }

  answered (batch: Batch): void {
    this.#batches.delete(batch)
  }

  /** Records the time of an answer, in ms. */
  learn (roundTrip: number): void {
    this.#roundTrip = Math.max(roundTrip, this.#roundTrip * 0.8)
  }

  holdUp (server: string | undefined): void {
    this.#heldUp.add(server)
  }

  isHeldUp (server: string | undefined): boolean {
    return this.#heldUp.has(server)
  }

  /** Called regularly. `now`: monotonic clock, in ms. */
  look (now: number): void {
    setImmediate(() => { this.#readAt = now })
  }

  /** Allows writes to all servers again. */
  retry (): void {
    this.#heldUp.clear()
  }

  /** Oldest batch of a server without an answer. */
  oldest (server: string | undefined): Batch | undefined {
    for (const batch of this.#batches) if (batch.server === server) return batch
    return undefined
  }

  /** Whether the oldest batch of a server has been without an answer for longer than `Silence` allows. */
  isUnanswered (server: string | undefined, { roundTrips, least, most }: Silence): boolean {
    const oldest = this.oldest(server)
    return oldest !== undefined && this.#readAt - oldest.sentAt > Math.min(most, Math.max(least, roundTrips * this.#roundTrip))
  }
}

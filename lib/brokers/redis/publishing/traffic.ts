import type { Batch } from './batch.js'

/** A server that leaves something unanswered for this number of round trips, within these bounds in ms. */
export interface Silence {
  readonly roundTrips: number
  readonly least: number
  readonly most: number
}

/** The batches that were sent and are not answered, and how fast Redis answers. */
export class Traffic {
  readonly #batches = new Set<Batch>()
  /** Answers that had come until then were read, on the monotonic clock: none is while the event loop does not turn. */
  #readAt = -Infinity
  /** How long answers take at the moment, in ms. */
  #roundTrip = 0
  /** Servers to which nothing could be written the last time: it is tried again with the next look. */
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

  /** An answer took this time, in ms. */
  learn (roundTrip: number): void {
    this.#roundTrip = Math.max(roundTrip, this.#roundTrip * 0.8)
  }

  holdUp (server: string | undefined): void {
    this.#heldUp.add(server)
  }

  isHeldUp (server: string | undefined): boolean {
    return this.#heldUp.has(server)
  }

  /** Called regularly; `now` on the monotonic clock. */
  look (now: number): void {
    setImmediate(() => { this.#readAt = now })
  }

  /** It is tried again to write to all servers. */
  retry (): void {
    this.#heldUp.clear()
  }

  /** The batch that was sent to a server first. */
  oldest (server: string | undefined): Batch | undefined {
    for (const batch of this.#batches) if (batch.server === server) return batch
    return undefined
  }

  /** Whether the oldest batch of a server is unanswered for longer than the silence allows. */
  isUnanswered (server: string | undefined, { roundTrips, least, most }: Silence): boolean {
    const oldest = this.oldest(server)
    return oldest !== undefined && this.#readAt - oldest.sentAt > Math.min(most, Math.max(least, roundTrips * this.#roundTrip))
  }
}

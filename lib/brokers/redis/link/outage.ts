/** Maximum time, in ms, after the end of an outage in which another one continues it. */
const continuedWithin = 1_000

/** Time, in ms, after which a repeated cause of an outage is reported again. */
const newsAgainAfter = 60_000

/** Decides which events of an outage are logged: each cause once, and the end. Times are on the monotonic clock, in ms. */
export class Outage {
  isOngoing = false
  #since = 0
  #endedAt = -Infinity
  /** Time of the report of each cause. */
  readonly #reported = new Map<string, number>()
  #hasReported = false

  begin (at: number): void {
    if (this.isOngoing) return
    this.isOngoing = true
    this.#since = at
    this.#hasReported = false
    if (at - this.#endedAt > continuedWithin) this.#reported.clear()
  }

  /** Whether to report a cause now. If so, it counts as reported. */
  isNews (code: string, at: number): boolean {
    if (at - (this.#reported.get(code) ?? -Infinity) < newsAgainAfter) return false
    this.#reported.set(code, at)
    this.#hasReported = true
    return true
  }

  /** Ends the outage. Returns its duration in ms; `undefined` if no cause was reported, or if there is no outage. */
  end (at: number): number | undefined {
    if (!this.isOngoing) return undefined
    this.isOngoing = false
    this.#endedAt = at
    return this.#hasReported ? Math.max(0, Math.round(at - this.#since)) : undefined
  }
}

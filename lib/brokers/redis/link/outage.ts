/** An outage that begins this soon after the end of the one before continues it, in ms. */
const continuedWithin = 1_000

/** Within one outage a cause that comes back is news again after this time, in ms. */
const newsAgainAfter = 60_000

/** Decides what of an outage is worth a log line: each cause once, and the end. Times are on the monotonic clock, in ms. */
export class Outage {
  isOngoing = false
  #since = 0
  #endedAt = -Infinity
  /** When each cause was reported. */
  readonly #reported = new Map<string, number>()
  #hasReported = false

  begin (at: number): void {
    if (this.isOngoing) return
    this.isOngoing = true
    this.#since = at
    this.#hasReported = false
    if (at - this.#endedAt > continuedWithin) this.#reported.clear()
  }

  /** Whether a cause is to be reported now. It then counts as reported. */
  isNews (code: string, at: number): boolean {
    if (at - (this.#reported.get(code) ?? -Infinity) < newsAgainAfter) return false
    this.#reported.set(code, at)
    this.#hasReported = true
    return true
  }

  /** Returns how long it lasted, in ms; `undefined` when none of its causes was reported, or when there is no outage. */
  end (at: number): number | undefined {
    if (!this.isOngoing) return undefined
    this.isOngoing = false
    this.#endedAt = at
    return this.#hasReported ? Math.max(0, Math.round(at - this.#since)) : undefined
  }
}

/** Maximum delay of an action that waits for the wall clock, after that clock was set forward, in milliseconds. */
const wallClockEvery = 10_000

/** The timers of one plugin instance, so that none outlives it. */
export class Timers {
  readonly #pending = new Set<NodeJS.Timeout>()
  readonly #wallClock: () => number
  #isClosed = false

  /** `wallClock`: milliseconds since 1970. */
  constructor (wallClock = () => Date.now()) {
    this.#wallClock = wallClock
  }

  /** Calls `action` after `ms` milliseconds, unless the returned function is called before. */
  readonly after = (ms: number, action: () => void): (() => void) => {
    if (this.#isClosed) return () => {}
    // What is longer than setTimeout can count (24.8 days) is taken in steps.
    const step = Math.min(ms, 2 ** 31 - 1)
    let cancel = () => {
      clearTimeout(timer)
      this.#pending.delete(timer)
    }
    const timer = setTimeout(() => {
      this.#pending.delete(timer)
      if (step === ms) action()
      else cancel = this.after(ms - step, action)
    }, step).unref()
    this.#pending.add(timer)
    return () => cancel()
  }

  /**
   * Calls `action` once the wall clock shows `time`, unless the returned function is called before. A timer alone would not
   * do: it does not notice that the clock is set, or that the machine sleeps.
   */
  at (time: number, action: () => void): () => void {
    const wait = () => this.after(Math.max(0, Math.min(time - this.#wallClock(), wallClockEvery)), check)
    const check = () => {
      if (this.#wallClock() >= time) action()
      else cancel = wait()
    }
    let cancel = wait()
    return () => cancel()
  }

  close (): void {
    this.#isClosed = true
    for (const timer of this.#pending) clearTimeout(timer)
    this.#pending.clear()
  }
}

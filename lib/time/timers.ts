/** Interval between checks of the wall clock, in ms: the maximum delay of an action after that clock was set forward. */
const wallClockEvery = 10_000

/** Timers of one plugin instance. None outlives it. */
export class Timers {
  readonly #pending = new Set<NodeJS.Timeout>()
  readonly #wallClock: () => number
  #isClosed = false

  /** `wallClock`: time in ms since 1970. */
  constructor (wallClock = () => Date.now()) {
    this.#wallClock = wallClock
  }

  /** Calls `action` after `ms` milliseconds, unless the returned function is called before. */
  readonly after = (ms: number, action: () => void): (() => void) => {
    if (this.#isClosed) return () => {}
    // Times beyond the maximum of setTimeout (24.8 days) are split into steps.
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
   * Calls `action` when the wall clock reaches `time`, in ms since 1970, unless the returned function is called before. A single timer does
   * not suffice: it does not notice that the clock is set, or that the machine sleeps.
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

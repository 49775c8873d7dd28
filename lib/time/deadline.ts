import type { Timers } from './timers.js'

/** Time, in ms, within which added actions share one timer. */
const apart = 10

interface Group {
  readonly startedAt: number
  readonly waiting: Set<() => void>
  readonly cancel: () => void
}

/** The same timeout for many actions, without a timer for each. */
export class Deadline {
  readonly #timers: Timers
  readonly #ms: number
  #newest: Group | undefined

  constructor (timers: Timers, ms: number) {
    this.#timers = timers
    this.#ms = ms
  }

  /** Calls `onLate` after the timeout, or up to 10 ms earlier, unless the returned function is called before. */
  add (onLate: () => void): () => void {
    const group = this.#group()
    group.waiting.add(onLate)
    return () => {
      // The newest group keeps its timer for actions that are added next.
      if (group.waiting.delete(onLate) && group.waiting.size === 0 && group !== this.#newest) group.cancel()
    }
  }

  #group (): Group {
    const now = performance.now()
    const newest = this.#newest
    if (newest !== undefined && now - newest.startedAt < apart) return newest
    if (newest?.waiting.size === 0) newest.cancel()
    this.#newest = this.#begin(now)
    return this.#newest
  }

  #begin (startedAt: number): Group {
    const waiting = new Set<() => void>()
    const cancel = this.#timers.after(this.#ms, () => {
      if (this.#newest?.waiting === waiting) this.#newest = undefined
      for (const onLate of waiting) onLate()
    })
    return { startedAt, waiting, cancel }
  }
}

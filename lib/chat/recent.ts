/** Keys, for some time, and so many of them; the oldest gives way. */
export class Recent {
  /** When each came, in the order in which they did. */
  readonly #times = new Map<string, number>()
  readonly #limits: { time: number, size: number }
  readonly #now: () => number

  /** `time` in milliseconds. */
  constructor (limits: { time: number, size: number }, now = () => performance.now()) {
    this.#limits = limits
    this.#now = now
  }

  add (key: string): void {
    this.#times.delete(key)
    this.#times.set(key, this.#now())
    for (const [oldest, at] of this.#times) {
      if (this.#times.size <= this.#limits.size && !this.#isOver(at)) return
      this.#times.delete(oldest)
    }
  }

  has (key: string): boolean {
    const at = this.#times.get(key)
    return at !== undefined && !this.#isOver(at)
  }

  /** Whether it is there; from now on it is not. */
  take (key: string): boolean {
    const isThere = this.has(key)
    this.#times.delete(key)
    return isThere
  }

  #isOver (at: number): boolean {
    return this.#now() - at >= this.#limits.time
  }
}

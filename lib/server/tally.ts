/** Counts by key. Keeps no key whose count is 0. */
export class Tally<K> {
  readonly #counts = new Map<K, number>()

  /** Number of keys with a count. */
  get size (): number {
    return this.#counts.size
  }

  of (key: K): number {
    return this.#counts.get(key) ?? 0
  }

  add (key: K): void {
    this.#counts.set(key, this.of(key) + 1)
  }

  /** Takes 1 off the count of a key, if it has one. */
  take (key: K): void {
    const count = this.of(key)
    if (count > 1) this.#counts.set(key, count - 1)
    else this.#counts.delete(key)
  }

  /** Removes a key, and returns its count. */
  remove (key: K): number {
    const count = this.of(key)
    this.#counts.delete(key)
    return count
  }
}

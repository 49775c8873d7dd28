/** Newest items of each key. Keeps 100 keys, and drops the one whose latest item is the oldest. */
export class Recent<T> {
  readonly #size: number
  readonly #items = new Map<string, T[]>()

  constructor (size: number) {
    this.#size = size
  }

  of (key: string): T[] {
    return this.#items.get(key) ?? []
  }

  add (key: string, item: T): void {
    const items = [...this.of(key), item].slice(-this.#size)
    this.#items.delete(key)
    this.#items.set(key, items)
    if (this.#items.size > 100) this.#items.delete(this.#items.keys().next().value!)
  }

  remove (key: string, item: T): void {
    this.#items.set(key, this.of(key).filter(other => other !== item))
  }
}

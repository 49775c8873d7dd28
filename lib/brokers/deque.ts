/** Gaps shorter than this are not worth closing. */
const minGap = 64

/** A first-in, first-out list with access by index: every operation takes constant time, amortized. */
export class Deque<T> {
  /** Items in order; those before `#start` are removed and cleared. */
  #items: Array<T | undefined> = []
  #start = 0

  get length (): number {
    return this.#items.length - this.#start
  }

  /** The item at `index`, counted from the oldest; `undefined` outside of the list. */
  at (index: number): T | undefined {
    return index < 0 ? undefined : this.#items[this.#start + index]
  }

  push (item: T): void {
    this.#items.push(item)
  }

  /** Removes the oldest item and returns it; `undefined` when the list is empty. */
  shift (): T | undefined {
    if (this.#start === this.#items.length) return undefined
    const item = this.#items[this.#start]
    this.#items[this.#start++] = undefined
    if (this.#start >= minGap && this.#start * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#start)
      this.#start = 0
    }
    return item
  }

  clear (): void {
    this.#items = []
    this.#start = 0
  }

  * [Symbol.iterator] (): Generator<T> {
    for (let at = this.#start; at < this.#items.length; at++) yield this.#items[at]!
  }
}

/** Minimum number of slots of a list with items; a power of two. */
const leastSlots = 1

/**
 * A first-in, first-out list with access by index: a ring buffer whose number of slots is a power of two. Every operation takes constant
 * amortized time. The list must not change during an iteration.
 */
export class Deque<T> {
  #slots: Array<T | undefined> = []
  #start = 0
  #length = 0
  readonly #keepsRoom: boolean

  /** `keepsRoom`: keeps its memory when it shrinks, because it will need it again soon. */
  constructor (keepsRoom = false) {
    this.#keepsRoom = keepsRoom
  }

  get length (): number {
    return this.#length
  }

  /** Item at `index`, counted from the oldest; `undefined` outside of the list. */
  at (index: number): T | undefined {
    return index < 0 || index >= this.#length ? undefined : this.#slots[(this.#start + index) & (this.#slots.length - 1)]
  }

  push (item: T): void {
    if (this.#length === this.#slots.length) this.#resize(Math.max(leastSlots, this.#length * 2))
    this.#slots[(this.#start + this.#length++) & (this.#slots.length - 1)] = item
  }

  /** Removes and returns the oldest item; `undefined` if the list is empty. */
  shift (): T | undefined {
    if (this.#length === 0) return undefined
    const item = this.#slots[this.#start]
    this.#slots[this.#start] = undefined
    this.#start = (this.#start + 1) & (this.#slots.length - 1)
    this.#length--
    const { length: slots } = this.#slots
    if (!this.#keepsRoom && slots > leastSlots && this.#length <= slots / 8) this.#resize(Math.max(leastSlots, slots / 4))
    return item
  }

  clear (): void {
    this.#slots = []
    this.#start = 0
    this.#length = 0
  }

  #resize (slots: number): void {
    const resized: Array<T | undefined> = new Array(slots)
    for (let at = 0; at < this.#length; at++) resized[at] = this.at(at)
    this.#slots = resized
    this.#start = 0
  }

  * [Symbol.iterator] (): Generator<T> {
    for (let at = 0; at < this.#length; at++) yield this.at(at)!
  }
}

/** Shared empty list, to save memory. Nothing may be added to it. */
export const emptyDeque = new Deque<never>()

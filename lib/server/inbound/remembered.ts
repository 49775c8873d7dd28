import { Budget } from '../../brokers/budget.js'
import { Deque } from '../../logs/deque.js'

interface Entry<T> {
  readonly holder: string
  readonly key: string
  readonly value: T
  readonly at: number
  isGone: boolean
}

export interface RememberedLimits {
  /** Time a value is remembered, in ms. */
  time: number
  /** Maximum number of values of all holders. None may have more than are still free. */
  size: number
}

/** Number of removed entries, beyond the number of values, at which the list of all entries is compacted. */
const maxGone = 1_000

/**
 * Values by holder and key, remembered for a limited time. If there is no room for another value, the holder with the most values loses
 * its oldest one: a holder with many values takes no room from holders with few.
 */
export class Remembered<T> {
  readonly #time: number
  readonly #budget: Budget
  readonly #byHolder = new Map<string, Map<string, Entry<T>>>()
  /** All entries in the order in which they were added, removed ones included. */
  #all = new Deque<Entry<T>>()
  readonly #mayGo: (value: T) => boolean
  readonly #onGone: (value: T, holder: string) => void

  /** `mayGo`: whether a value may be removed to make room for another one. `onGone` is called for each value that is removed. */
  constructor (
    { time, size }: RememberedLimits, mayGo: (value: T) => boolean = () => true, onGone: (value: T, holder: string) => void = () => {}
  ) {
    this.#time = time
    this.#budget = new Budget(size)
    this.#mayGo = mayGo
    this.#onGone = onGone
  }

  /** Number of values. */
  get size (): number {
    return this.#budget.used
  }

  /** Value of a key; `undefined` if it is not remembered. `now`: monotonic clock, in ms. */
  get (holder: string, key: string, now: number): T | undefined {
    this.#expire(now)
    return this.#byHolder.get(holder)?.get(key)?.value
  }

  /** Remembers a value from `now` on, and replaces the previous one. */
  set (holder: string, key: string, value: T, now: number): void {
    this.#expire(now)
    this.delete(holder, key)
    this.#makeRoom(holder)
    const ofHolder = this.#byHolder.get(holder) ?? new Map<string, Entry<T>>()
    const entry = { holder, key, value, at: now, isGone: false }
    this.#byHolder.set(holder, ofHolder.set(key, entry))
    this.#all.push(entry)
    this.#budget.add(holder, 1)
  }

  /** Returns the value of a key and forgets it; `undefined` if it is not remembered. `now` as for `get`. */
  take (holder: string, key: string, now: number): T | undefined {
    this.#expire(now)
    return this.delete(holder, key)
  }

  /** Forgets a value. Returns it, or `undefined` if there was none. */
  delete (holder: string, key: string): T | undefined {
    const entry = this.#byHolder.get(holder)?.get(key)
    if (entry === undefined) return undefined
    this.#drop(entry)
    return entry.value
  }

  #expire (now: number): void {
    for (let oldest = this.#all.at(0); oldest !== undefined && (oldest.isGone || now - oldest.at >= this.#time); oldest = this.#all.at(0)) {
      this.#all.shift()
      if (!oldest.isGone) this.#drop(oldest)
    }
  }

  #makeRoom (holder: string): void {
    while (!this.#budget.allows(holder)) {
      const entry = this.#toGo(holder)
      if (entry === undefined) return
      this.#drop(entry)
    }
  }

  /** Entry to remove for a holder: the oldest one of the holder with the most entries. Holders with fewer than this one keep theirs. */
  #toGo (holder: string): Entry<T> | undefined {
    const own = this.#budget.heldBy(holder)
    for (const share of this.#budget.heaviest()) {
      if (share.held < own) break
      const entry = this.#oldest(share.holder)
      if (entry !== undefined) return entry
    }
    return this.#oldest(holder)
  }

  #oldest (holder: string): Entry<T> | undefined {
    for (const entry of this.#byHolder.get(holder)?.values() ?? []) if (this.#mayGo(entry.value)) return entry
    return undefined
  }

  #drop (entry: Entry<T>): void {
    const ofHolder = this.#byHolder.get(entry.holder)!
    ofHolder.delete(entry.key)
    if (ofHolder.size === 0) this.#byHolder.delete(entry.holder)
    entry.isGone = true
    this.#onGone(entry.value, entry.holder)
    this.#budget.release(entry.holder)
    if (this.#all.length > 2 * this.size + maxGone) this.#compact()
  }

  #compact (): void {
    const all = new Deque<Entry<T>>()
    for (const entry of this.#all) if (!entry.isGone) all.push(entry)
    this.#all = all
  }
}

import { Text } from './text.js'

/** Bytes of the objects that make up a text. */
const overhead = 300

/**
 * A text to which publications add, and how long it was after each of them: so that whoever has read up to any of them
 * gets the rest. Costs its text, and eight bytes per publication.
 */
export class GrowingText {
  /** The length before the first publication known of: what is before that is not here. */
  readonly base: number
  readonly #text = new Text()
  /** Offsets, counted from `#zero`, each with the length of the text after it. */
  #marks = new Uint32Array(8)
  readonly #zero: number
  #markCount = 0

  /** `zero` is an offset that all publications come after. */
  constructor (zero: number, base = 0) {
    this.#zero = zero
    this.base = base
  }

  get length (): number {
    return this.base + this.#text.length
  }

  /** Bytes of memory, bookkeeping included. */
  get bytes (): number {
    return this.#text.bytes + this.#marks.byteLength + overhead
  }

  /** The publication at `offset` adds `text`. */
  append (offset: number, text: string): void {
    this.#text.append(text)
    if (this.#markCount * 2 === this.#marks.length) this.#makeRoom()
    this.#marks[this.#markCount * 2] = offset - this.#zero
    this.#marks[this.#markCount * 2 + 1] = this.length
    this.#markCount++
  }

  /** From the character `from` on, counted from the beginning of the whole text. */
  slice (from: number): string {
    return this.#text.slice(Math.max(0, from - this.base))
  }

  /**
   * The length of the text for a reader that has read up to `offset`. A reader may have begun after `since`, so publications
   * up to there count as not read.
   */
  lengthAt (offset: number, since: number): number {
    const mark = this.#markAfter(offset) - 1
    const isRead = mark >= 0 && this.#marks[mark * 2] + this.#zero > since
    return isRead ? this.#marks[mark * 2 + 1] : this.base
  }

  /** The first publication after `offset`; `undefined` when there is none. */
  nextAfter (offset: number): number | undefined {
    const mark = this.#markAfter(offset)
    return mark === this.#markCount ? undefined : this.#marks[mark * 2] + this.#zero
  }

  #markAfter (offset: number): number {
    let low = 0
    let high = this.#markCount
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#marks[middle * 2] + this.#zero <= offset) low = middle + 1
      else high = middle
    }
    return low
  }

  #makeRoom (): void {
    const marks = new Uint32Array(this.#marks.length * 2)
    marks.set(this.#marks)
    this.#marks = marks
  }
}

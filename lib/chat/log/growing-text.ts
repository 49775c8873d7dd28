import { Text } from './text.js'

/** Bytes of the objects that make up a text. */
const overhead = 300

/**
 * Text that publications extend, with its length after each publication: a reader that has read up to any of them can get the rest.
 * Takes the memory of the text, and eight bytes per publication.
 */
export class GrowingText {
  /** Length of the text before the first known publication. This part of the text is unknown. */
  readonly base: number
  readonly #text = new Text()
  /** Pairs of an offset, relative to `#zero`, and the length of the text after it. */
  #marks = new Uint32Array(8)
  readonly #zero: number
  #markCount = 0

  /** `zero`: an offset before all publications. */
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

  /** Appends the text of the publication at `offset`. */
  append (offset: number, text: string): void {
    this.#text.append(text)
    if (this.#markCount * 2 === this.#marks.length) this.#makeRoom()
    this.#marks[this.#markCount * 2] = offset - this.#zero
    this.#marks[this.#markCount * 2 + 1] = this.length
    this.#markCount++
  }

  /** Returns the text after the first `from` characters of the whole text. Characters before `base` are missing. */
  slice (from: number): string {
    return this.#text.slice(Math.max(0, from - this.base))
  }

  /**
   * Length of the text that a reader has, when it has read up to `offset`. A reader may have begun after `since`, so publications up
   * to that offset count as not read.
   */
  lengthAt (offset: number, since: number): number {
    const mark = this.#markAfter(offset) - 1
    const isRead = mark >= 0 && this.#marks[mark * 2] + this.#zero > since
    return isRead ? this.#marks[mark * 2 + 1] : this.base
  }

  /** Offset of the first publication after `offset`; `undefined` when there is none. */
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

import { Marks } from './marks.js'
import { Text } from './text.js'

/** Bytes of the objects that make up a text. */
const overhead = 400

/**
 * Text that publications extend, with its length after each publication: a reader that has read up to any of them can get the rest.
 * Takes the memory of the text, and about three bytes per publication.
 */
export class GrowingText {
  /** Length of the text before the first known publication. This part of the text is unknown. */
  readonly base: number
  readonly #text = new Text()
  readonly #marks: Marks

  /** `zero`: an offset before all publications. */
  constructor (zero: number, base = 0) {
    this.#marks = new Marks(zero, base)
    this.base = base
  }

  get length (): number {
    return this.base + this.#text.length
  }

  /** Bytes of memory, bookkeeping included. */
  get bytes (): number {
    return this.#text.bytes + this.#marks.bytes + overhead
  }

  /** Appends the text of the publication at `offset`. */
  append (offset: number, text: string): void {
    this.#text.append(text)
    this.#marks.append(offset, this.length)
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
    const mark = this.#marks.upTo(offset)
    return mark !== undefined && mark.offset > since ? mark.length : this.base
  }

  /** Offset of the first publication after `offset`; `undefined` when there is none. */
  nextAfter (offset: number): number | undefined {
    return this.#marks.after(offset)
  }
}

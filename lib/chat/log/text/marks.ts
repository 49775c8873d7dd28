/** Length of a text after the publication at an offset. */
export interface Mark {
  readonly offset: number
  readonly length: number
}

/** Number of marks of a block: a lookup decodes at most one block. */
const blockSize = 64

/** Bytes of memory of a block's first mark. */
const blockBytes = 64

/** Maximum bytes of an encoded mark: two integers of 31 bits. */
const maxMark = 10

/** A block's first mark, and the index of the byte after it. */
interface Block extends Mark {
  readonly next: number
}

/**
 * Marks in ascending order. Each is encoded as its differences to the one before it, in groups of seven bits: a text that grows by tokens
 * takes two bytes for each.
 */
export class Marks {
  #encoded = new Uint8Array(16)
  #used = 0
  #count = 0
  #last: Mark
  readonly #blocks: Block[] = []

  /** `offset`, `length`: lower limits of all marks. */
  constructor (offset: number, length: number) {
    this.#last = { offset, length }
  }

  /** Bytes of memory. */
  get bytes (): number {
    return this.#encoded.byteLength + this.#blocks.length * blockBytes
  }

  append (offset: number, length: number): void {
    const before = this.#last
    this.#last = { offset, length }
    if (this.#encoded.length - this.#used < maxMark) this.#makeRoom()
    this.#encode(offset - before.offset)
    this.#encode(length - before.length)
    if (this.#count++ % blockSize === 0) this.#blocks.push({ offset, length, next: this.#used })
  }

  /** The last mark up to `offset`; `undefined` when there is none. */
  upTo (offset: number): Mark | undefined {
    if (this.#count > 0 && offset >= this.#last.offset) return this.#last
    return this.#find(offset).before
  }

  /** Offset of the first mark after `offset`; `undefined` when there is none. */
  after (offset: number): number | undefined {
    return offset >= this.#last.offset ? undefined : this.#find(offset).after
  }

  /** Finds the marks around `offset`, which is before the last mark. */
  #find (offset: number): { before: Mark | undefined, after: number | undefined } {
    const block = this.#blocks.findLast(block => block.offset <= offset)
    if (block === undefined) return { before: undefined, after: this.#blocks.at(0)?.offset }
    let before: Mark = block
    for (let at = block.next; at < this.#used;) {
      const ahead = this.#decode(at)
      const grown = this.#decode(ahead.next)
      const mark = { offset: before.offset + ahead.value, length: before.length + grown.value }
      if (mark.offset > offset) return { before, after: mark.offset }
      before = mark
      at = grown.next
    }
    return { before, after: undefined }
  }

  #encode (value: number): void {
    for (; value > 0x7f; value >>>= 7) this.#encoded[this.#used++] = value & 0x7f | 0x80
    this.#encoded[this.#used++] = value
  }

  #decode (at: number): { value: number, next: number } {
    let value = 0
    for (let shift = 0; ; shift += 7) {
      const byte = this.#encoded[at++]
      value |= (byte & 0x7f) << shift
      if (byte <= 0x7f) return { value, next: at }
    }
  }

  #makeRoom (): void {
    const encoded = new Uint8Array(this.#used + (this.#used >> 1) + maxMark)
    encoded.set(this.#encoded)
    this.#encoded = encoded
  }
}

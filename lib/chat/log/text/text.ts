import { isWide } from '../../../logs/size.js'

/** Minimum number of characters of a block. A read that begins inside a block copies it, so blocks are small. */
const blockSize = 4_096

/** Number of pieces after which the tail is made one string, which frees the headers of the pieces. */
const maxPieces = 8

/** Bytes of overhead of a piece: its header, and that of the concatenation. */
const pieceOverhead = 56

/** A text that is written in many small pieces and costs little more than its characters. */
export class Text {
  length = 0
  readonly #blocks: string[] = []
  /** Index of the first character of each block. */
  readonly #starts: number[] = []
  #blockBytes = 0
  #tail = ''
  #pieces = 0
  #isTailWide = false

  append (text: string): void {
    this.length += text.length
    this.#tail += text
    this.#isTailWide ||= isWide(text)
    if (++this.#pieces >= maxPieces) this.#flatten()
    if (this.#tail.length >= blockSize) this.#endBlock()
  }

  /** Bytes of memory. */
  get bytes (): number {
    return this.#blockBytes + this.#tailBytes + this.#pieces * pieceOverhead
  }

  get #tailBytes (): number {
    return this.#isTailWide ? this.#tail.length * 2 : this.#tail.length
  }

  /** Makes the tail one string: V8 keeps a concatenation as a tree of pieces until one of its characters is read. */
  #flatten (): void {
    this.#tail.charCodeAt(0)
    this.#pieces = 0
  }

  #endBlock (): void {
    this.#flatten()
    this.#blocks.push(this.#tail)
    this.#starts.push(this.length - this.#tail.length)
    this.#blockBytes += this.#tailBytes + pieceOverhead
    this.#tail = ''
    this.#isTailWide = false
  }

  /** The text from the character `from` on. */
  slice (from = 0): string {
    const tailStart = this.length - this.#tail.length
    if (from >= tailStart) return this.#tail.slice(from - tailStart)
    const block = this.#starts.findLastIndex(start => start <= from)
    return (this.#blocks.slice(block).join('') + this.#tail).slice(from - this.#starts[block])
  }
}

import { isWide } from '../../logs/size.js'

/** Characters from which on what was written becomes a block. Reading the newest block copies it, so it is small. */
const blockSize = 4_096

/** Pieces of the tail after which it is made one string, so that a piece of a few characters does not keep its headers. */
const maxPieces = 8

/** Bytes of a piece beside its characters: its header, and that of the concatenation. */
const pieceOverhead = 56

/** A text that is written in many small pieces and costs little more than its characters. */
export class Text {
  length = 0
  readonly #blocks: string[] = []
  /** Where each block begins. */
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

  /** V8 keeps what was concatenated as a tree of pieces until a character of it is read. */
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

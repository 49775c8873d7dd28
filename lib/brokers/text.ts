/** Characters that are kept in one piece. Reading the newest piece copies it, so it is small. */
const blockSize = 4_096

/** A text that is written in many small pieces: it costs little more than its characters, which a string put together so does. */
export class Text {
  length = 0
  readonly #blocks: string[] = []
  #tail = ''

  append (text: string): void {
    this.length += text.length
    this.#tail += text
    if (this.#tail.length < blockSize) return
    const whole = this.#tail.length - this.#tail.length % blockSize
    for (let at = 0; at < whole; at += blockSize) this.#blocks.push(this.#tail.slice(at, at + blockSize))
    this.#tail = this.#tail.slice(whole)
  }

  /** From the character `from` on. */
  slice (from = 0): string {
    const block = Math.floor(from / blockSize)
    return (this.#blocks.slice(block).join('') + this.#tail).slice(from - block * blockSize)
  }
}

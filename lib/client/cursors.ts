import { parsePosition, type Label, type Position } from '../protocol/position.js'

/** How far this client has read, per label: what it resumes with, and what it would otherwise show twice. */
export class Cursors {
  readonly #positions = new Map<Label, { text: string, position: Position }>()

  /** What to resume with; empty before the first ack. */
  get since (): string {
    return [...this.#positions.values()].map(({ text }) => text).join(',')
  }

  /** Starts anew at the positions of an ack or a resync, joined by commas. */
  reset (positions: string): void {
    for (const text of positions.split(',')) this.#set(text)
  }

  /** Moves on to a publication. `false` when it was read before. */
  advance (id: string): boolean {
    const parsed = parsePosition(id)
    if (parsed === undefined) return true
    const { label, position } = parsed
    const last = this.#positions.get(label)?.position
    if (last !== undefined && last.epoch === position.epoch && position.offset <= last.offset) return false
    this.#set(id)
    return true
  }

  #set (text: string): void {
    const parsed = parsePosition(text)
    if (parsed !== undefined) this.#positions.set(parsed.label, { text, position: parsed.position })
  }
}

/** How far this client has read, per label: what it resumes with, and what it would otherwise show twice. */
export interface Cursors {
  /** What to resume with; empty before the first ack. */
  readonly since: string
  /** Starts anew at the positions of an ack or a resync, joined by commas. */
  start (positions: string): void
  /** Moves on to a publication. `false` when it was read before. */
  advance (id: string): boolean
}

/** A position is `<label>.<epoch>.<offset>`. */
export function cursors (): Cursors {
  const read = new Map<string, string>()
  return {
    get since () {
      return [...read.values()].join()
    },
    start (positions) {
      for (const position of positions.split(',')) read.set(position[0], position)
    },
    advance (id) {
      const [label, epoch, offset] = id.split('.')
      if (!offset) return true
      const [, lastEpoch, last] = read.get(label)?.split('.') ?? []
      if (epoch === lastEpoch && +offset <= +last!) return false
      read.set(label, id)
      return true
    }
  }
}

/** Position that a client has read up to, per label. The client resumes from it, and skips publications that it has read. */
export interface Cursors {
  /** Positions to resume from, joined by commas; empty before the first ack. */
  readonly since: string
  /** Restarts at the positions of an ack or a resync, joined by commas. */
  start (positions: string): void
  /** Moves to the position of a publication. Returns `false` when it was read before. */
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
      for (const position of positions.split(',')) if (position) read.set(position[0], position)
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

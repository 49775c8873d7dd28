/** Continues a message that is being written: inserts `text` at the character `at`. */
export interface Delta {
  readonly at: number
  readonly text: string
}

/**
 * Applies a delta: the known text up to `at`, then `text`. Applying a sequence of deltas again gives the same text.
 * `undefined` when the text before `at` is not known: a snapshot follows.
 */
export function withDelta (known: string, at: number, text: string): string | undefined {
  // Engines append without copying what is there: a token costs its own length.
  if (at <= known.length) return (at < known.length ? known.slice(0, at) : known) + text
}

/** Continuation of a message that is being written: its text up to the character `at`, and then `text`. */
export interface Delta {
  readonly at: number
  readonly text: string
}

/**
 * Applies a delta. Applying a sequence of deltas again gives the same text. Returns `undefined` when the text before `at` is unknown: a
 * snapshot follows.
 */
export function withDelta (known: string, at: number, text: string): string | undefined {
  // Engines append without copying the known text, so the cost of a token is its own length.
  if (at <= known.length) return (at < known.length ? known.slice(0, at) : known) + text
}

/** How a message that is being written goes on: `text` comes at the character `at`. */
export interface Delta {
  readonly at: number
  readonly text: string
}

/**
 * The text of a message with a delta in it: what is known up to `at`, then `text`, so that a delta that comes again changes nothing.
 * `undefined` where what is before `at` is not known: the whole message will come.
 */
export function withDelta (known: string, at: number, text: string): string | undefined {
  // Engines append without copying what is there: a token costs its own length.
  if (at <= known.length) return (at < known.length ? known.slice(0, at) : known) + text
}

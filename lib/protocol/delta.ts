/** How a message that is being written goes on: `text` comes at the character `at`. */
export interface Delta {
  readonly at: number
  readonly text: string
}

/**
 * The text of a message with a delta in it: what is known up to `at`, then `text`, so that a delta that comes again changes nothing.
 * `undefined` where what is before `at` is not known: the whole message will come.
 */
export function withDelta (known: string, { at, text }: Delta): string | undefined {
  if (at < 0 || at > known.length) return undefined
  // Engines append without copying what is there: a token costs its own length.
  return (at === known.length ? known : known.slice(0, at)) + text
}

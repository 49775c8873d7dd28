/** Stands for a kind of channel in a position: `u` user, `b` broadcast, `c` chat, `k` a kind of the app. */
export type Label = 'u' | 'b' | 'c' | 'k'

/** Position in the log of a channel: after the publication `offset` of an epoch. Offset 0 is before the first one. */
export interface Position {
  readonly epoch: string
  readonly offset: number
}

/** Value of `since`: `all` for everything that is retained, or one position for each label. */
export type Since = 'all' | ReadonlyMap<Label, Position>

const pattern = /^([ubck])\.([a-z0-9]{1,32})\.(\d{1,15})$/

/** Formats a position as `<label>.<epoch>.<offset>`, the form of `id` and of each part of `since`. */
export function formatPosition (label: Label, { epoch, offset }: Position): string {
  return `${label}.${epoch}.${offset}`
}

/** Parses `<label>.<epoch>.<offset>`; `undefined` when it is not one. */
export function parsePosition (text: string): { label: Label, position: Position } | undefined {
  const match = pattern.exec(text)
  if (match === null) return undefined
  return { label: match[1] as Label, position: { epoch: match[2], offset: Number(match[3]) } }
}

/**
 * Parses the `since` of a reconnecting client: `0`, or positions joined by commas.
 * `undefined` when any part is not a position or a label comes twice: nothing can be recovered from it.
 */
export function parseSince (text: string): Since | undefined {
  if (text === '0') return 'all'
  const positions = new Map<Label, Position>()
  for (const part of text.split(',', 4)) {
    const parsed = parsePosition(part)
    if (parsed === undefined || positions.has(parsed.label)) return undefined
    positions.set(parsed.label, parsed.position)
  }
  return positions
}

/** Negative when `a` is before `b`, positive when after, 0 when equal, `NaN` when they are of different epochs. */
export function comparePositions (a: Position, b: Position): number {
  return a.epoch === b.epoch ? a.offset - b.offset : NaN
}

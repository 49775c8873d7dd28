import { randomInt } from 'node:crypto'

/** Not one that any channel had before, and fit for a position. */
export function newEpoch (): string {
  // Node draws these many at a time.
  return randomInt(2 ** 48 - 1).toString(36)
}

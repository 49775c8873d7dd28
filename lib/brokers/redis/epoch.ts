import { randomInt } from 'node:crypto'

/** Random epoch, different from those of all channels, and valid in a position. */
export function newEpoch (): string {
  // Node generates these integers in batches.
  return randomInt(2 ** 48 - 1).toString(36)
}

import type { FastifyBaseLogger } from 'fastify'

/** Something of one kind that a close waits for. */
export interface AwaitedWork {
  /** Its field in the log. */
  readonly field: string
  /** What is waited for, as the field has it: an array of ids or the like, or their number. */
  readonly items: readonly unknown[] | number
  /** What is waited for, in words: before the first item of an array, or the whole of it for a number. */
  readonly text: string
  /** Names an item of an array. Default: as it is. */
  readonly nameOf?: (item: never) => string
  /** It is the app's own code. */
  readonly isOfApp: boolean
}

/** A close that takes longer than this says why, in ms. */
export const reportAfter = 1_000

/** Maximum number of ids of a kind in the log. */
const maxIds = 20

/** Logs what a close waits for, and for how many milliseconds more at most: at `warn` where that is the app's own code. */
export function reportAwaited (log: FastifyBaseLogger, awaited: readonly AwaitedWork[], ms: number): void {
  const present = awaited.filter(work => countOf(work) > 0)
  if (present.length === 0) return
  const [ofApp, others] = [present.filter(({ isOfApp }) => isOfApp), present.filter(({ isOfApp }) => !isOfApp)]
  const fields = Object.fromEntries(awaited.map(({ field, items }) => [field, typeof items === 'number' ? items : items.slice(0, maxIds)]))
  const what = [...ofApp, ...others].map(describe).join('; ')
  const text = `realtime: the app has been closing for ${reportAfter} ms. It waits, for ${Math.round(ms)} ms at most, for ${what}`
  if (ofApp.length > 0) log.warn(fields, `${text}. Code that awaits app.close() there waits for itself: call it without await`)
  else log.info(fields, text)
}

function countOf ({ items }: AwaitedWork): number {
  return typeof items === 'number' ? items : items.length
}

/** Names the first one, and counts the others: all of them are in the fields of the line. */
function describe ({ items, text, nameOf = String }: AwaitedWork): string {
  if (typeof items === 'number') return text
  const more = items.length === 1 ? '' : ` and ${items.length - 1} more`
  return `${text} ${nameOf(items[0] as never)}${more}`
}

/** A number and what it counts: `1 handshake`, `2 handshakes`. */
export function counted (count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`
}

import type { FastifyBaseLogger } from 'fastify'

/** Work of one kind that a close waits for. */
export interface AwaitedWork {
  /** Name of its field in the log. */
  readonly field: string
  /** Items of the field, such as ids, or their number. */
  readonly items: readonly unknown[] | number
  /** Description: precedes the first item of an array, or describes a number completely. */
  readonly text: string
  /** Names an item of an array. Default: the item as a string. */
  readonly nameOf?: (item: never) => string
  /** Whether it is code of the app. */
  readonly isOfApp: boolean
}

/** Time after which a close logs what it waits for, in ms. */
export const reportAfter = 1_000

/** Maximum number of ids per kind in the log. */
const maxIds = 20

/** Logs what a close waits for, and its maximum remaining time `ms`. At `warn` if it waits for code of the app, else at `info`. */
export function reportAwaited (log: FastifyBaseLogger, awaited: readonly AwaitedWork[], ms: number): void {
  const present = awaited.filter(work => countOf(work) > 0)
  if (present.length === 0) return
  const [ofApp, others] = [present.filter(({ isOfApp }) => isOfApp), present.filter(({ isOfApp }) => !isOfApp)]
  const fields = Object.fromEntries(awaited.map(({ field, items }) => [field, typeof items === 'number' ? items : items.slice(0, maxIds)]))
  const what = [...ofApp, ...others].map(describe).join('; ')
  const text = `realtime: the app has been closing for ${reportAfter} ms. It waits at most ${Math.round(ms)} ms more for ${what}`
  if (ofApp.length > 0) log.warn(fields, `${text}. Code that awaits app.close() there waits for itself: call it without await`)
  else log.info(fields, text)
}

function countOf ({ items }: AwaitedWork): number {
  return typeof items === 'number' ? items : items.length
}

/** Names the first item and counts the others. The fields of the line contain their ids. */
function describe ({ items, text, nameOf = String }: AwaitedWork): string {
  if (typeof items === 'number') return text
  const more = items.length === 1 ? '' : ` and ${items.length - 1} more`
  return `${text} ${nameOf(items[0] as never)}${more}`
}

/** A number and what it counts: `1 handshake`, `2 handshakes`. */
export function counted (count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`
}

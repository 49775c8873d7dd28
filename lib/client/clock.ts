/** Maximum delay of `setTimeout`: 24.8 days. A longer delay fires at once. */
const maxMs = 2 ** 31 - 1

export type Timer = ReturnType<typeof setTimeout> | undefined

/** Calls `action` after `ms` milliseconds, at most 24.8 days. */
export function after (ms: number, action: () => void): Timer {
  return setTimeout(action, Math.min(ms, maxMs))
}

/** Monotonic time in ms; the time of day in hosts without `performance`. */
export function now (): number {
  return globalThis.performance?.now?.() ?? Date.now()
}

const enum Ms {
  /** The longest delay of `setTimeout`, 24.8 days. A longer one fires at once. */
  max = 2 ** 31 - 1
}

export type Timer = ReturnType<typeof setTimeout> | undefined

/** Calls `action` after `ms` milliseconds, at most 24.8 days. */
export function after (ms: number, action: () => void): Timer {
  return setTimeout(action, Math.min(ms, Ms.max))
}

/** Milliseconds that only grow, where the host can count them. */
export function now (): number {
  return globalThis.performance?.now?.() ?? Date.now()
}

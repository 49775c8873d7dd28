/**
 * What a client does after a close: `stop` for good; `reconnect` at once and resume; reconnect after a `backoff`, or after
 * the `delay` in the reason; `renew`: come back once, with a new credential where there is one, and `stop` when that is
 * refused too.
 */
export type CloseAction = 'stop' | 'reconnect' | 'backoff' | 'renew' | 'delay'

export interface CloseCode {
  readonly code: number
  readonly action: CloseAction
}

/**
 * The close codes that a client knows by name: all that mean something else than a lost connection. They are a file of their
 * own because a page loads them; the whole table is `closeCodes`.
 */
export const ownCodes = {
  NORMAL: { code: 1000, action: 'backoff' },
  TOO_BIG: { code: 1009, action: 'backoff' },
  RESTART: { code: 1012, action: 'delay' },
  BAD_MESSAGES: { code: 4400, action: 'stop' },
  UNAUTHENTICATED: { code: 4401, action: 'renew' },
  FORBIDDEN: { code: 4403, action: 'stop' },
  REPLACED: { code: 4409, action: 'stop' },
  TOO_MANY: { code: 4429, action: 'backoff' },
  TOO_SLOW: { code: 4430, action: 'reconnect' }
} as const satisfies Record<string, CloseCode>

/** The name of a code and what a client does after it. A code without a row here is a lost connection. */
export function ownCode (code: number): { name: string, action: CloseAction } {
  for (const [name, row] of Object.entries(ownCodes)) if (row.code === code) return { name, action: row.action }
  return { name: 'LOST', action: 'backoff' }
}

/** The delay in milliseconds in the reason of a 1012, or `undefined` when there is none. */
export function parseDelay (reason: string): number | undefined {
  const match = /^retry_ms=(\d{1,10})$/.exec(reason)
  return match ? +match[1] : undefined
}

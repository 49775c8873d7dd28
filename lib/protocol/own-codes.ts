/**
 * Action of a client after a close: `stop`; `reconnect` at once; reconnect after a `backoff`, or after the `delay` in the reason;
 * `renew`: reconnect once, with a new credential if there is one, and `stop` when that is refused too.
 */
export type CloseAction = 'stop' | 'reconnect' | 'backoff' | 'renew' | 'delay'

export interface CloseCode {
  readonly code: number
  readonly action: CloseAction
}

/**
 * Close codes that clients handle in a special way. They are separate from `closeCodes`, the whole table, to keep client bundles small.
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

/** Returns the name of a code and its row. A code without a row here means a lost connection. */
export function ownCode (code: number): [name: string, row: CloseCode] {
  return Object.entries(ownCodes).find(([, row]) => row.code === code) ?? ['LOST', { code, action: 'backoff' }]
}

/** Parses the delay in the reason of a 1012, in ms; `undefined` when there is none. */
export function parseDelay (reason: string): number | undefined {
  const [, delay] = /^retry_ms=(\d{1,10})$/.exec(reason) ?? []
  return delay ? +delay : undefined
}

/**
 * What a client does after a close: `stop` for good; `reconnect` at once and resume; reconnect after a `backoff`, or after
 * the `delay` in the reason; `renew` the credential once, and `stop` when that is refused too.
 */
export type CloseAction = 'stop' | 'reconnect' | 'backoff' | 'renew' | 'delay'

export interface CloseCode {
  readonly code: number
  readonly action: CloseAction
}

/**
 * Every close code a client can see. Clients act on this table, never on ranges;
 * a code that is not in it is treated like 1006.
 * 1000–1015: RFC 6455 section 7.4.1; 4400–4430: this protocol.
 */
export const closeCodes = {
  NORMAL: { code: 1000, action: 'stop' },
  GOING_AWAY: { code: 1001, action: 'stop' },
  PROTOCOL_ERROR: { code: 1002, action: 'stop' },
  BINARY: { code: 1003, action: 'stop' },
  NO_CODE: { code: 1005, action: 'backoff' },
  ABNORMAL: { code: 1006, action: 'backoff' },
  INVALID_TEXT: { code: 1007, action: 'stop' },
  TOO_FRAGMENTED: { code: 1008, action: 'stop' },
  TOO_BIG: { code: 1009, action: 'stop' },
  HANDLER_FAILED: { code: 1011, action: 'backoff' },
  RESTART: { code: 1012, action: 'delay' },
  OVERLOADED: { code: 1013, action: 'backoff' },
  BAD_MESSAGES: { code: 4400, action: 'stop' },
  UNAUTHENTICATED: { code: 4401, action: 'renew' },
  FORBIDDEN: { code: 4403, action: 'stop' },
  AUTHENTICATION_TIMEOUT: { code: 4408, action: 'backoff' },
  REPLACED: { code: 4409, action: 'stop' },
  TOO_MANY: { code: 4429, action: 'backoff' },
  TOO_SLOW: { code: 4430, action: 'reconnect' }
} as const satisfies Record<string, CloseCode>

/** What each code means. Not in the table: a client acts on that, and needs no prose in its bundle. */
export const closeMeanings: Readonly<Record<keyof typeof closeCodes, string>> = {
  NORMAL: 'closed by agreement',
  GOING_AWAY: 'closing for good',
  PROTOCOL_ERROR: 'the frames were not valid WebSocket frames',
  BINARY: 'binary frames are not accepted, send JSON text',
  NO_CODE: 'closed without a code',
  ABNORMAL: 'the connection was lost',
  INVALID_TEXT: 'a text frame was not UTF-8',
  TOO_FRAGMENTED: 'too many fragments',
  TOO_BIG: 'the frame was too big',
  HANDLER_FAILED: 'a handler or hook of the server failed',
  RESTART: 'the server restarts, come back after the delay in the reason',
  OVERLOADED: 'the server is overloaded',
  BAD_MESSAGES: 'too many bad messages',
  UNAUTHENTICATED: 'not authenticated, or the credential expired',
  FORBIDDEN: 'authenticated, but not allowed here',
  AUTHENTICATION_TIMEOUT: 'authentication took too long',
  REPLACED: 'replaced by a newer connection',
  TOO_MANY: 'too many messages or connections, wait 5 s or more',
  TOO_SLOW: 'reading too slowly, come back and resume'
}

/** The table's row for a close code, or `undefined` when it has none. */
export function closeCode (code: number): CloseCode | undefined {
  return Object.values(closeCodes).find(row => row.code === code)
}

/** What a code means, or `undefined` when it is not in the table. */
export function closeMeaning (code: number): string | undefined {
  for (const [name, row] of Object.entries(closeCodes)) if (row.code === code) return closeMeanings[name as keyof typeof closeCodes]
  return undefined
}

/** The codes a server may put into a Close frame: 1005 and 1006 never travel (RFC 6455 section 7.4.1). */
export function isSendable (code: number): boolean {
  return closeCode(code) !== undefined && code !== closeCodes.NO_CODE.code && code !== closeCodes.ABNORMAL.code
}

/** The reason of a 1012: how long this client should wait, in milliseconds. */
export function formatDelay (ms: number): string {
  return `retry_ms=${Math.round(ms)}`
}

/** The delay in milliseconds in the reason of a 1012, or `undefined` when there is none. */
export function parseDelay (reason: string): number | undefined {
  const match = /^retry_ms=(\d{1,10})$/.exec(reason)
  return match === null ? undefined : Number(match[1])
}

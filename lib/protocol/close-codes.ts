/**
 * What a client does after a close: `stop` for good; `reconnect` at once and resume; reconnect after a `backoff`, or after
 * the `delay` in the reason; `renew` the credential once, and `stop` when that is refused too.
 */
export type CloseAction = 'stop' | 'reconnect' | 'backoff' | 'renew' | 'delay'

export interface CloseCode {
  readonly code: number
  readonly meaning: string
  readonly action: CloseAction
}

/**
 * Every close code a client can see. Clients act on this table, never on ranges;
 * a code that is not in it is treated like 1006.
 * 1000–1015: RFC 6455 section 7.4.1; 4400–4430: this protocol.
 */
export const closeCodes = {
  NORMAL: { code: 1000, meaning: 'closed by agreement', action: 'stop' },
  GOING_AWAY: { code: 1001, meaning: 'closing for good', action: 'stop' },
  PROTOCOL_ERROR: { code: 1002, meaning: 'the frames were not valid WebSocket frames', action: 'stop' },
  BINARY: { code: 1003, meaning: 'binary frames are not accepted, send JSON text', action: 'stop' },
  NO_CODE: { code: 1005, meaning: 'closed without a code', action: 'backoff' },
  ABNORMAL: { code: 1006, meaning: 'the connection was lost', action: 'backoff' },
  INVALID_TEXT: { code: 1007, meaning: 'a text frame was not UTF-8', action: 'stop' },
  TOO_FRAGMENTED: { code: 1008, meaning: 'too many fragments', action: 'stop' },
  TOO_BIG: { code: 1009, meaning: 'the frame was too big', action: 'stop' },
  HANDLER_FAILED: { code: 1011, meaning: 'a handler or hook of the server failed', action: 'backoff' },
  RESTART: { code: 1012, meaning: 'the server restarts, come back after the delay in the reason', action: 'delay' },
  OVERLOADED: { code: 1013, meaning: 'the server is overloaded', action: 'backoff' },
  BAD_MESSAGES: { code: 4400, meaning: 'too many bad messages', action: 'stop' },
  UNAUTHENTICATED: { code: 4401, meaning: 'not authenticated, or the credential expired', action: 'renew' },
  FORBIDDEN: { code: 4403, meaning: 'authenticated, but not allowed here', action: 'stop' },
  AUTHENTICATION_TIMEOUT: { code: 4408, meaning: 'authentication took too long', action: 'backoff' },
  REPLACED: { code: 4409, meaning: 'replaced by a newer connection', action: 'stop' },
  TOO_MANY: { code: 4429, meaning: 'too many messages or connections, wait 5 s or more', action: 'backoff' },
  TOO_SLOW: { code: 4430, meaning: 'reading too slowly, come back and resume', action: 'reconnect' }
} as const satisfies Record<string, CloseCode>

const byCode = new Map<number, CloseCode>(Object.values(closeCodes).map(row => [row.code, row]))

/** The table's row for a close code, or `undefined` when it has none. */
export function closeCode (code: number): CloseCode | undefined {
  return byCode.get(code)
}

/** The codes a server may put into a Close frame: 1005 and 1006 never travel (RFC 6455 section 7.4.1). */
export function isSendable (code: number): boolean {
  return byCode.has(code) && code !== closeCodes.NO_CODE.code && code !== closeCodes.ABNORMAL.code
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

import { ownCodes, type CloseCode } from './own-codes.js'

export { parseDelay, type CloseAction, type CloseCode } from './own-codes.js'

const backoff = <N extends number>(code: N) => ({ code, action: 'backoff' as const })

/**
 * Every close code a client can see. Clients act on this table, never on ranges; a code that is not in it is treated
 * like 1006. Only what this server alone can mean is final: whatever a proxy, a platform or one bad message can cause leads
 * to a reconnect.
 * 1000–1015: RFC 6455 section 7.4.1; 4400–4430: this protocol.
 */
export const closeCodes = {
  NORMAL: ownCodes.NORMAL,
  GOING_AWAY: backoff(1001),
  PROTOCOL_ERROR: backoff(1002),
  BINARY: backoff(1003),
  NO_CODE: backoff(1005),
  ABNORMAL: backoff(1006),
  INVALID_TEXT: backoff(1007),
  TOO_FRAGMENTED: backoff(1008),
  TOO_BIG: ownCodes.TOO_BIG,
  HANDLER_FAILED: backoff(1011),
  RESTART: ownCodes.RESTART,
  OVERLOADED: backoff(1013),
  BAD_MESSAGES: ownCodes.BAD_MESSAGES,
  UNAUTHENTICATED: ownCodes.UNAUTHENTICATED,
  FORBIDDEN: ownCodes.FORBIDDEN,
  AUTHENTICATION_TIMEOUT: backoff(4408),
  REPLACED: ownCodes.REPLACED,
  TOO_MANY: ownCodes.TOO_MANY,
  TOO_SLOW: ownCodes.TOO_SLOW
} as const satisfies Record<string, CloseCode>

/** The meaning of each code. Not in the table: clients act on the table, and need no prose in their bundle. */
export const closeMeanings: Readonly<Record<keyof typeof closeCodes, string>> = {
  NORMAL: 'closed normally by a proxy, a platform or the app',
  GOING_AWAY: 'a proxy or the server shuts down',
  PROTOCOL_ERROR: 'a frame was not a valid WebSocket frame',
  BINARY: 'binary frames are not accepted; send JSON as text',
  NO_CODE: 'closed without a code',
  ABNORMAL: 'the connection was lost',
  INVALID_TEXT: 'a text frame was not UTF-8',
  TOO_FRAGMENTED: 'too many fragments, or a policy of a proxy or platform',
  TOO_BIG: 'the frame was too big',
  HANDLER_FAILED: 'a handler or hook of the server failed',
  RESTART: 'the server restarts; reconnect after the delay in the reason',
  OVERLOADED: 'the server is overloaded',
  BAD_MESSAGES: 'too many invalid messages',
  UNAUTHENTICATED: 'not authenticated, or the credential expired',
  FORBIDDEN: 'authenticated, but not allowed to connect',
  AUTHENTICATION_TIMEOUT: 'authentication took too long',
  REPLACED: 'replaced by a newer connection',
  TOO_MANY: 'too many messages or connections; wait at least 5 s',
  TOO_SLOW: 'the client reads too slowly; reconnect and resume'
}

/** The table's row for a close code, or `undefined` when it has none. */
export function closeCode (code: number): CloseCode | undefined {
  return Object.values<CloseCode>(closeCodes).find(row => row.code === code)
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

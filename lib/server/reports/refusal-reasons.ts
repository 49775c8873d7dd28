import { closeCodes } from '../../protocol/close-codes.js'

export interface RefusalRow {
  /** What the client gets: a close code, an HTTP status, or the code of an `error` frame. */
  readonly code: number | string
  /** What the log says. */
  readonly text: string
  /** `error` where the app's own code is at fault; default: `info`. */
  readonly level?: 'error'
}

/** Every reason for which this server turns a client away. The README has the same table, with the cures; a test compares them. */
export const refusalReasons = {
  bad_handshake: { code: 400, text: 'its request is not a complete WebSocket handshake' },
  invalid_id: { code: 400, text: 'a part of its path is not a valid id' },
  foreign_origin: { code: 403, text: 'the origin of its page is not allowed' },
  development: { code: 403, text: "this server has no 'authenticate', and is for this machine alone" },
  not_a_channel: { code: 404, text: 'its path is under the prefix and is not a channel' },
  no_upgrade: { code: 426, text: 'its request does not ask for an upgrade to WebSocket' },
  handshakes: { code: 503, text: "'limits.pending' handshakes are in progress, or those of its address take as much as is still free" },
  connections: { code: 503, text: "this server has 'limits.connections' connections" },
  binary: { code: closeCodes.BINARY.code, text: 'it sent a binary frame' },
  invalid_frame: { code: closeCodes.PROTOCOL_ERROR.code, text: 'its frames are not valid WebSocket frames' },
  invalid_text: { code: closeCodes.INVALID_TEXT.code, text: 'a text frame is not UTF-8' },
  too_fragmented: { code: closeCodes.TOO_FRAGMENTED.code, text: "a message has more parts than 'limits.fragments' or 'limits.chunks'" },
  too_big: { code: closeCodes.TOO_BIG.code, text: "a frame is more than twice as big as 'limits.frame'" },
  authenticate_failed: { code: closeCodes.HANDLER_FAILED.code, level: 'error', text: "'authenticate' or 'authorize' threw an error without a 4xx statusCode" },
  not_opened: { code: closeCodes.HANDLER_FAILED.code, level: 'error', text: "'onConnect' or the broker failed, or took longer than 'timeouts.connect'" },
  connect_overflow: { code: closeCodes.HANDLER_FAILED.code, level: 'error', text: "'onConnect' sent more than may wait for one connection" },
  handler_timeout: { code: closeCodes.HANDLER_FAILED.code, text: "a handler of its messages took longer than 'timeouts.handler'" },
  closing: { code: closeCodes.RESTART.code, text: 'this server is closing' },
  bad_messages: { code: closeCodes.BAD_MESSAGES.code, text: "'limits.strikes' of its messages within a minute were wrong" },
  unauthenticated: { code: closeCodes.UNAUTHENTICATED.code, text: "'authenticate' returned null or undefined" },
  credential_refused: { code: closeCodes.UNAUTHENTICATED.code, text: "'authenticate' or 'authorize' threw an error with a 4xx statusCode" },
  credential_expired: { code: closeCodes.UNAUTHENTICATED.code, text: "the 'expiresAt' of its identity is over" },
  invalid_identity: { code: closeCodes.UNAUTHENTICATED.code, level: 'error', text: "what 'authenticate' returned is not an identity" },
  other_user: { code: closeCodes.FORBIDDEN.code, text: "it is authenticated as another user than that of its path, and 'authorize' did not return true" },
  not_authorized: { code: closeCodes.FORBIDDEN.code, text: "'authorize' returned false" },
  invalid_verdict: { code: closeCodes.FORBIDDEN.code, level: 'error', text: "'authorize' returned neither true, false nor undefined" },
  authenticate_timeout: { code: closeCodes.AUTHENTICATION_TIMEOUT.code, text: "'authenticate' and 'authorize' took longer than 'timeouts.authenticate'" },
  user_connections: { code: closeCodes.TOO_MANY.code, text: "its user has 'limits.connectionsPerUser' connections" },
  rate: { code: closeCodes.TOO_MANY.code, text: "it sent more than 'limits.rate' messages per second, 'limits.strikes' times within a minute" },
  stalled: { code: closeCodes.TOO_SLOW.code, text: 'it does not read what it is sent' },
  renew_refused: { code: 'renew_refused', text: "'renew' did not accept its new credential" },
  renew_failed: { code: 'renew_refused', level: 'error', text: 'renew failed, or authorize after it: one of them threw, took too long, or renew did not return an identity' }
} as const satisfies Record<string, RefusalRow>

export type RefusalReason = keyof typeof refusalReasons

/** Reasons for which a request on a channel route is answered with an error, by the code of the error. */
const reasonsOfErrors: Record<string, RefusalReason> = {
  RT_ERR_HANDSHAKE: 'bad_handshake',
  RT_ERR_INVALID_ID: 'invalid_id',
  RT_ERR_NOT_A_CHANNEL: 'not_a_channel',
  RT_ERR_UPGRADE_REQUIRED: 'no_upgrade'
}

/** The reason for an error with which a request was answered; `undefined` for one that is noted elsewhere, or not this plugin's. */
export function reasonOf ({ code }: { code?: string }): RefusalReason | undefined {
  return code !== undefined && Object.hasOwn(reasonsOfErrors, code) ? reasonsOfErrors[code] : undefined
}

/** Reasons for which `ws` closes a connection, by the code of its error; any other of its errors is a wrong frame. */
const reasonsOfFaults: Record<string, RefusalReason> = {
  WS_ERR_INVALID_UTF8: 'invalid_text',
  WS_ERR_TOO_MANY_BUFFERED_PARTS: 'too_fragmented',
  WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH: 'too_big',
  WS_ERR_UNSUPPORTED_MESSAGE_LENGTH: 'too_big'
}

/** The reason for an error of a WebSocket; `undefined` when it is one of the network. */
export function reasonOfFault ({ code }: { code?: string }): RefusalReason | undefined {
  if (!code?.startsWith('WS_ERR_')) return undefined
  return Object.hasOwn(reasonsOfFaults, code) ? reasonsOfFaults[code] : 'invalid_frame'
}

import { closeCodes } from '../../protocol/close-codes.js'

export interface RefusalRow {
  /** What the client gets: a close code, an HTTP status, or the code of an `error` frame. */
  readonly code: number | string
  /** Text of the log line. */
  readonly text: string
  /** `error` if the app's own code is at fault. Default: `info`. */
  readonly level?: 'error'
}

/** Every reason for which this server refuses a client. docs/reference.md has the same table with the cures; a test compares them. */
export const refusalReasons = {
  bad_handshake: { code: 400, text: 'the request is not a complete WebSocket handshake' },
  invalid_id: { code: 400, text: 'a part of the path is not a valid id' },
  foreign_origin: { code: 403, text: 'the origin of the page is not allowed' },
  development: { code: 403, text: "without 'authenticate', only clients on this machine may connect" },
  not_a_channel: { code: 404, text: 'no channel has this path' },
  no_upgrade: { code: 426, text: 'the request does not ask for an upgrade to WebSocket' },
  handshakes: { code: 503, text: "'limits.pending' handshakes are in progress, or this address has as many of them as are still free" },
  connections: { code: 503, text: "this server has 'limits.connections' connections" },
  binary: { code: closeCodes.BINARY.code, text: 'the client sent a binary frame' },
  invalid_frame: { code: closeCodes.PROTOCOL_ERROR.code, text: 'the client sent an invalid WebSocket frame' },
  invalid_text: { code: closeCodes.INVALID_TEXT.code, text: 'the client sent a text frame that is not UTF-8' },
  too_fragmented: { code: closeCodes.TOO_FRAGMENTED.code, text: "a message has more parts than 'limits.fragments' or 'limits.chunks'" },
  too_big: { code: closeCodes.TOO_BIG.code, text: "a frame is more than twice as big as 'limits.frame'" },
  authenticate_failed: { code: closeCodes.HANDLER_FAILED.code, level: 'error', text: "'authenticate' or 'authorize' threw an error without a 4xx statusCode" },
  not_opened: { code: closeCodes.HANDLER_FAILED.code, level: 'error', text: "'onConnect' or the broker failed, or took longer than 'timeouts.connect'" },
  connect_overflow: { code: closeCodes.HANDLER_FAILED.code, level: 'error', text: "'onConnect' sent more than one connection may have in its queue" },
  handler_timeout: { code: closeCodes.HANDLER_FAILED.code, text: "a message handler took longer than 'timeouts.handler'" },
  closing: { code: closeCodes.RESTART.code, text: 'this server is closing' },
  bad_messages: { code: closeCodes.BAD_MESSAGES.code, text: "the client sent 'limits.strikes' invalid messages within a minute" },
  unauthenticated: { code: closeCodes.UNAUTHENTICATED.code, text: "'authenticate' returned null or undefined" },
  credential_refused: { code: closeCodes.UNAUTHENTICATED.code, text: "'authenticate' or 'authorize' threw an error with a 4xx statusCode" },
  credential_expired: { code: closeCodes.UNAUTHENTICATED.code, text: "the 'expiresAt' of the identity has passed" },
  invalid_identity: { code: closeCodes.UNAUTHENTICATED.code, level: 'error', text: "'authenticate' did not return a valid identity" },
  other_user: { code: closeCodes.FORBIDDEN.code, text: "the client is authenticated as another user than the one in the path, and 'authorize' did not return true" },
  not_authorized: { code: closeCodes.FORBIDDEN.code, text: "'authorize' returned false" },
  invalid_verdict: { code: closeCodes.FORBIDDEN.code, level: 'error', text: "'authorize' returned neither true, false nor undefined" },
  authenticate_timeout: { code: closeCodes.AUTHENTICATION_TIMEOUT.code, text: "'authenticate' and 'authorize' took longer than 'timeouts.authenticate'" },
  user_connections: { code: closeCodes.TOO_MANY.code, text: "the user has 'limits.connectionsPerUser' connections" },
  rate: { code: closeCodes.TOO_MANY.code, text: "the client sent more than 'limits.rate' messages per second, 'limits.strikes' times within a minute" },
  stalled: { code: closeCodes.TOO_SLOW.code, text: 'the client does not read what the server sends' },
  channel_forbidden: { code: 'forbidden', text: 'the user may not subscribe to a channel' },
  channel_unavailable: { code: 'unavailable', level: 'error', text: "'authorize' threw an error or took longer than 'timeouts.authenticate' for a channel" },
  renew_refused: { code: 'renew_refused', text: "'renew' did not accept the new credential" },
  renew_failed: { code: 'renew_refused', level: 'error', text: "the renewal failed: 'renew' or 'authorize' threw an error or took too long, or 'renew' did not return a valid identity" }
} as const satisfies Record<string, RefusalRow>

export type RefusalReason = keyof typeof refusalReasons

/** Reasons for which a request on a channel route is answered with an error, by the code of the error. */
const reasonsOfErrors: Record<string, RefusalReason> = {
  RT_ERR_HANDSHAKE: 'bad_handshake',
  RT_ERR_INVALID_ID: 'invalid_id',
  RT_ERR_NOT_A_CHANNEL: 'not_a_channel',
  RT_ERR_UPGRADE_REQUIRED: 'no_upgrade'
}

/** The reason for an error that answers a request. `undefined` for errors that are noted elsewhere or belong to the app. */
export function reasonOf ({ code }: { code?: string }): RefusalReason | undefined {
  return code !== undefined && Object.hasOwn(reasonsOfErrors, code) ? reasonsOfErrors[code] : undefined
}

/** Reasons for which `ws` closes a connection, by the code of its error. Any other error of `ws` is an invalid frame. */
const reasonsOfFaults: Record<string, RefusalReason> = {
  WS_ERR_INVALID_UTF8: 'invalid_text',
  WS_ERR_TOO_MANY_BUFFERED_PARTS: 'too_fragmented',
  WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH: 'too_big',
  WS_ERR_UNSUPPORTED_MESSAGE_LENGTH: 'too_big'
}

/** The reason for an error of a WebSocket. `undefined` for errors of the network. */
export function reasonOfFault ({ code }: { code?: string }): RefusalReason | undefined {
  if (!code?.startsWith('WS_ERR_')) return undefined
  return Object.hasOwn(reasonsOfFaults, code) ? reasonsOfFaults[code] : 'invalid_frame'
}

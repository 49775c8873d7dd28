import { closedError, RealtimeError } from './error.js'

/** The shared connection of the tabs changes its leader: reconnect at once. */
export const handover = 0

/** Lost without a Close frame (RFC 6455 section 7.4.1). */
export const abnormal = 1006

/** End of a connection, or of an attempt to connect. */
export interface Loss {
  code: number
  reason: string
  /** Error message of the platform. */
  fault?: string
  /** Error that was thrown. */
  error?: unknown
  /** Bytes of the largest frame that was sent, on a connection that tabs share. */
  size?: number
}

/** Creates the error for `onError` from the end of a connection. `isRefused`: the attempt to connect failed. */
export function outageOf (url: string, { code, reason, fault = reason }: Loss, isRefused: boolean): RealtimeError {
  const error = isRefused && code === abnormal ? new RealtimeError('unreachable', fault || 'no connection') : closedError({ code, reason })
  // Omits the query, which may contain a credential.
  error.message += ` at ${url.replace(/\?.*/, '')}`
  return error
}

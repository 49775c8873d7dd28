import { closedError, RealtimeError } from './error.js'

/** Codes that no Close frame has. */
export const enum Lost {
  /** Among tabs: come back at once, another tab leads. */
  handover = 0,
  /** Lost without a Close (RFC 6455 section 7.4.1). */
  abnormal = 1006
}

/** How a connection, or an attempt at one, ended. */
export interface Loss {
  code: number
  reason: string
  /** What the platform says. */
  fault?: string
  /** What was thrown. */
  error?: unknown
  /** Bytes of the largest frame that was sent, where the connection is shared. */
  size?: number
}

/** Why there is no connection, for `onError`. `isRefused`: there was none before. */
export function outageOf (url: string, { code, reason, fault = reason }: Loss, isRefused: boolean): RealtimeError {
  const isUnreachable = isRefused && code === Lost.abnormal
  const error = isUnreachable ? new RealtimeError('unreachable', fault || 'no connection') : closedError({ code, reason })
  // Without the query, which may have a credential in it.
  error.message += ` at ${url.replace(/\?.*/, '')}`
  return error
}

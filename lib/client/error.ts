import { ownCode } from '../protocol/own-codes.js'

/** Close of a connection: its code, its reason, and the name of the code. */
export interface Closed {
  readonly code: number
  readonly reason: string
  /** Name in `closeCodes`; `LOST` for a code that only means a lost connection. */
  readonly name: string
}

/**
 * Reason why a message was not acknowledged, or why there is no connection. `code` is one of:
 * - the code of an `error` frame of the server: `unknown_type`, `bad_message`, `handler_failed` …
 * - a code of this client: `timeout`, `queue_full`, `too_big`, `too_slow`, `closed`, `unreachable`.
 * - the name of a close code in lower case: `forbidden`, `unauthenticated`, `restart` … The field `closed` has the close.
 */
export class RealtimeError extends Error {
  declare readonly code: string
  declare readonly closed: Closed | undefined

  constructor (code: string, message: string, closed?: Closed) {
    super(message)
    this.name = 'RealtimeError'
    this.code = code
    this.closed = closed
  }
}

/** Creates the error for a close. Default: 1000, with which a client closes; the `code` of the error is then `closed`. */
export function closedError ({ code = 1000, reason = '' }: Partial<Pick<Closed, 'code' | 'reason'>> = {}): RealtimeError {
  const [name] = ownCode(code)
  return new RealtimeError(code === 1000 ? 'closed' : name.toLowerCase(), `closed with ${code} ${reason || name}`, { code, reason, name })
}

import { ownCode } from '../protocol/own-codes.js'

/** How a connection was closed: the code, the reason that came with it, and a name for the code. */
export interface Closed {
  readonly code: number
  readonly reason: string
  /** That of `closeCodes`; `LOST` for a code that is no more than a lost connection. */
  readonly name: string
}

/**
 * Why a message was not acknowledged, or why there is no connection. `code` is one of:
 * - that of the server's `error` frame: `unknown_type`, `bad_message`, `handler_failed` …
 * - of this client: `timeout`, `queue_full`, `too_big`, `too_slow`, `closed`, `unreachable`.
 * - the name of a close code in lower case: `forbidden`, `unauthenticated`, `restart` … `closed` has all of it.
 */
export class RealtimeError extends Error {
  readonly code: string
  readonly closed: Closed | undefined

  constructor (code: string, message: string, closed?: Closed) {
    super(message)
    this.name = 'RealtimeError'
    this.code = code
    this.closed = closed
  }
}

/** Says how a connection was closed; 1000, which a client closes with itself, is `closed`. */
export function closedError ({ code, reason }: Pick<Closed, 'code' | 'reason'>): RealtimeError {
  const { name } = ownCode(code)
  return new RealtimeError(code === 1000 ? 'closed' : name.toLowerCase(), `closed with ${code} ${reason || name}`, { code, reason, name })
}

/**
 * Why a message was not acknowledged. `code` is that of the server's `error` frame (`unknown_type`, `bad_message`,
 * `handler_failed`, `handler_timeout`), or `timeout`, `queue_full` or `closed`. `renew_refused`, and `too_slow` of a
 * `for await`, are not about one.
 */
export class RealtimeError extends Error {
  readonly code: string

  constructor (code: string, message: string) {
    super(message)
    this.name = 'RealtimeError'
    this.code = code
  }
}

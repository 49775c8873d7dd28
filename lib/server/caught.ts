import { TimeoutError } from './timers.js'

/** What an app's hook threw, safe to look at and to log: its getters, or a Proxy, may throw themselves. */
export function caught (thrown: unknown): Error & { statusCode?: unknown } {
  try {
    if (thrown instanceof TimeoutError) return thrown
    const { message, stack, statusCode } = Object(thrown)
    const error = new Error(String(message ?? thrown))
    return Object.assign(error, { stack: String(stack ?? error.stack), statusCode })
  } catch {
    return new Error('what was thrown cannot be read')
  }
}

import type { FastifyBaseLogger } from 'fastify'

/** What an app's hook threw, safe to look at: its getters, or a Proxy, may throw themselves. */
export function caught (thrown: unknown): Error & { statusCode?: unknown } {
  try {
    const { message, stack, statusCode } = Object(thrown)
    if (thrown instanceof Error && typeof message === 'string' && typeof stack === 'string') return thrown
    const error = new Error(String(message ?? thrown))
    return Object.assign(error, { stack: String(stack ?? error.stack), statusCode })
  } catch {
    return new Error('what was thrown cannot be read')
  }
}

/** Logs what went wrong. Never throws: a logger's serializers are the app's code too. */
export function report (log: FastifyBaseLogger, thrown: unknown, text: string, fields: object = {}): void {
  try {
    log.error({ ...fields, err: caught(thrown) }, `realtime: ${text}`)
  } catch {
    // Nobody is left to tell.
  }
}

import { types } from 'node:util'
import type { FastifyBaseLogger } from 'fastify'

/**
 * An error that can be inspected, made of whatever an app's hook threw: getters, `instanceof` and a Proxy's traps may throw
 * themselves. What runs code when it is read is copied, because it may answer differently each time.
 */
export function caught (thrown: unknown): Error & { statusCode?: unknown, code?: unknown } {
  try {
    const { message, stack, statusCode, code } = Object(thrown)
    if (isPlainError(thrown) && typeof message === 'string' && typeof stack === 'string') return thrown
    const error = new Error(String(message ?? thrown))
    return Object.assign(error, { stack: String(stack ?? error.stack), statusCode, code })
  } catch {
    return new Error('what was thrown cannot be read')
  }
}

function isPlainError (thrown: unknown): thrown is Error {
  if (types.isProxy(thrown) || !(thrown instanceof Error)) return false
  return ['message', 'statusCode', 'code'].every(name => Object.getOwnPropertyDescriptor(thrown, name)?.get === undefined)
}

/** Logs an error. Never throws. */
export function report (log: FastifyBaseLogger, thrown: unknown, text: string, fields: object = {}): void {
  write(log, 'error', { ...fields, err: caught(thrown) }, text)
}

/** A level at which this package logs. */
type Level = 'info' | 'warn' | 'error'

/** The methods of a logger that are used: those of Fastify and pino fit. */
export type LogOf<L extends string> = Record<L, (fields: object, message: string) => unknown>

/**
 * Writes a log line. Never throws: a logger and its serializers are the app's code too. What cannot be logged with its error, such
 * as one with a `toJSON` that throws, is logged without it.
 */
export function write<L extends Level> (log: LogOf<L>, level: L, fields: object, text: string): void {
  if (tryWrite(log, level, fields, `realtime: ${text}`) || !('err' in fields)) return
  tryWrite(log, level, { ...fields, err: undefined }, `realtime: ${text} (the error cannot be logged)`)
}

function tryWrite<L extends Level> (log: LogOf<L>, level: L, fields: object, text: string): boolean {
  try {
    ignoreRejection(log[level](fields, text))
    return true
  } catch {
    return false
  }
}

/** Handles the rejection of a promise that is not awaited, so that it does not end the process. `true` when `value` is a promise. */
export function ignoreRejection (value: unknown): boolean {
  if (!isThenable(value)) return false
  const settle = async () => {
    try {
      await value
    } catch {
      // The caller reports what is wrong with a promise in this place.
    }
  }
  settle()
  return true
}

function isThenable (value: unknown): boolean {
  try {
    return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
  } catch {
    return false
  }
}

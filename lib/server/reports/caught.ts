import { types } from 'node:util'
import type { FastifyBaseLogger } from 'fastify'
import { isThenable } from '../../time/awaitable.js'

/**
 * Turns any thrown value into an error that can be inspected. Getters, `instanceof` and the traps of a Proxy may throw themselves. A value
 * that runs code when it is read is copied, because it may give another answer each time.
 */
export function caught (thrown: unknown): Error & { statusCode?: unknown, code?: unknown } {
  try {
    const { message, stack, statusCode, code } = Object(thrown)
    if (isPlainError(thrown) && typeof message === 'string' && typeof stack === 'string') return thrown
    const error = new Error(String(message ?? thrown))
    return Object.assign(error, { stack: String(stack ?? error.stack), statusCode, code })
  } catch {
    return new Error('the thrown value cannot be read')
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

/** Levels at which this package logs. */
type Level = 'info' | 'warn' | 'error'

/** Methods of a logger that are used. Those of Fastify and pino fit. */
export type LogOf<L extends string> = Record<L, (fields: object, message: string) => unknown>

/**
 * Writes a log line. Never throws: a logger and its serializers are code of the app. If the error cannot be logged, for example because
 * its `toJSON` throws, the line is logged without it.
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

/** Handles the rejection of a promise that is not awaited, so that it does not end the process. Returns `true` for a promise. */
export function ignoreRejection (value: unknown): boolean {
  if (!isThenable(value)) return false
  const settle = async () => {
    try {
      await value
    } catch {
      // The caller reports the promise itself as a fault.
    }
  }
  settle()
  return true
}

import type { Inbound } from '../../protocol/envelope.js'
import { caught } from '../reports/caught.js'
import type { Fault } from './fault.js'

/** Maximum nesting of a client message, so that recursion over its data is safe. */
const maxDepth = 64

export type Parsed =
  | { message: Inbound, fault?: undefined, thrown?: undefined }
  /** `thrown`: error of a custom check of the app in a schema. */
  | { message?: undefined, fault: Fault, thrown?: unknown }

/**
 * Parses the text of a client into a message, or a fault. `faultOf` validates the message against the schema of its type; `maxNodes`
 * is the maximum number of values in it. Never throws.
 */
export function parseInbound (text: string, faultOf: (value: unknown) => string | undefined, maxNodes: number): Parsed {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return { fault: { code: 'bad_json', message: 'the frame is not JSON' } }
  }
  try {
    const fault = shapeFault(value, maxNodes) ?? messageFault(faultOf(value))
    if (fault === undefined) return { message: value as Inbound }
    return { fault: { ...fault, ref: refOf(value) } }
  } catch (thrown) {
    return { fault: { code: 'handler_failed', message: 'the server could not check this message', ref: refOf(value) }, thrown: caught(thrown) }
  }
}

function messageFault (message: string | undefined): Fault | undefined {
  return message === undefined ? undefined : { code: 'bad_message', message }
}

/** Fault of a frame of more than `limit` bytes. Never throws. */
export function tooBig (data: Buffer, limit: number): Fault {
  const message = `the frame has ${data.length} bytes, and 'limits.frame' is ${limit}`
  try {
    return { code: 'too_big', message, ref: refOf(JSON.parse(data.toString())) }
  } catch {
    return { code: 'too_big', message }
  }
}

/** Reference of an invalid frame, for its answer; `undefined` if it has no valid one. */
function refOf (value: unknown): Inbound['ref'] {
  const ref = (value as { ref?: unknown } | null)?.ref
  if (typeof ref === 'string' && ref.length > 0 && ref.length <= 128) return ref
  return Number.isSafeInteger(ref) ? ref as number : undefined
}

/** Checks depth, keys and number of values. Without recursion, because the input decides its depth. */
function shapeFault (root: unknown, maxNodes: number): Fault | undefined {
  let level: object[] = isObject(root) ? [root] : []
  let nodes = 1
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > maxDepth) return messageFault(`nested deeper than ${maxDepth}`)
    const next: object[] = []
    for (const value of level) {
      if (Object.hasOwn(value, '__proto__')) return messageFault('a key is __proto__')
      const parts: unknown[] = Array.isArray(value) ? value : Object.values(value)
      nodes += parts.length
      if (nodes > maxNodes) return { code: 'too_big', message: `more than ${maxNodes} values in a message. Send it in parts, or as text` }
      for (const part of parts) if (isObject(part)) next.push(part)
    }
    level = next
  }
  return undefined
}

function isObject (value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

/** Counts offences within a time window, in ms, by default a minute. */
export class Strikes {
  readonly #allowed: number
  readonly #window: number
  #times: number[] = []

  constructor (allowed: number, window = 60_000) {
    this.#allowed = allowed
    this.#window = window
  }

  /** Counts an offence. Returns `true` if the limit is reached. `now`: monotonic clock, in ms. */
  add (now: number): boolean {
    this.#times = this.#times.filter(time => now - time < this.#window)
    this.#times.push(now)
    return this.#times.length >= this.#allowed
  }
}

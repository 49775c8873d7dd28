import { types } from 'node:util'
import { errors } from '../../errors.js'

/** Maximum nesting of a value. A cyclic value is detected at this depth. */
const maxDepth = 500

/** Maximum characters of a path in an error message. */
const maxPath = 200

/** Minimum bytes of a value in JSON: a digit and a comma. */
const leastBytes = 2

const cures = {
  function: 'is a function, which JSON cannot represent. Leave it out',
  symbol: 'is a symbol, which JSON cannot represent. Send its description',
  bigint: 'is a BigInt, which JSON cannot represent. Send it as a string',
  undefined: 'is undefined, which a JSON array cannot contain. Send null, or leave the element out'
} as const

/** Replacement for an object whose content JSON cannot represent, by the name of its class. */
const contentCures: Record<string, string> = {
  Map: 'Send Object.fromEntries(map)',
  Set: 'Send [...set]',
  Promise: 'Await it first',
  Error: 'Send its message',
  URLSearchParams: 'Send its toString()'
}

export interface JsonFormOptions {
  /** Maximum bytes of the JSON text. A value that certainly has more is not traversed to its end. */
  maxBytes: number
  /** Copies every object, so that a getter or a Proxy cannot return another value when the form is read. */
  isCopied: boolean
}

/**
 * Returns the JSON form of a value: calls `toJSON`, replaces NaN and Infinity by null, and leaves out undefined properties. The form
 * contains only plain objects, arrays, strings, finite numbers, booleans and null, and does not change when it is read again.
 *
 * Without `isCopied`, a value that is plain data already is returned as it is. That costs less, but a getter of a plain object is read
 * again later, and undefined properties are left to JSON.stringify.
 *
 * Throws RT_ERR_INVALID_MESSAGE with the path, which begins with `name`, of a value that JSON cannot represent;
 * RT_ERR_MESSAGE_TOO_LARGE; and any error of a getter, a Proxy or `toJSON`.
 */
export function jsonForm (value: unknown, name: string, { isCopied, maxBytes }: JsonFormOptions): unknown {
  const walk = { isCopied, hasInherited: Object.keys(Object.prototype).length > 0, left: maxBytes / leastBytes, maxBytes }
  try {
    return formOf(value, name, 0, walk)
  } catch (error) {
    throw error instanceof NotJson ? new errors.INVALID_MESSAGE(error.under(name).text) : error
  }
}

interface Walk {
  readonly isCopied: boolean
  /** Whether Object.prototype has enumerable properties, which JSON.stringify ignores. */
  readonly hasInherited: boolean
  readonly maxBytes: number
  /** Number of values that may still follow. */
  left: number
}

type Key = string | number

/** A value that JSON cannot represent. The error collects the path while it propagates. */
class NotJson extends Error {
  readonly #reason: string
  /** Outermost key first. */
  readonly #keys: Key[] = []
  readonly #objects: object[] = []
  /** Object at the maximum depth, which was not entered. */
  readonly #deepest: object | undefined

  constructor (reason: string, deepest?: object) {
    super()
    this.#reason = reason
    this.#deepest = deepest
  }

  under (key: Key, object?: object): this {
    this.#keys.unshift(key)
    if (object !== undefined) this.#objects.unshift(object)
    return this
  }

  get text (): string {
    const at = this.#deepest === undefined ? -1 : this.#objects.lastIndexOf(this.#deepest)
    return at === -1 ? `${keyPath(this.#keys)} ${this.#reason}` : this.#cycle(this.#objects.length - at)
  }

  /** Message with the path at which an object occurs again for the first time. */
  #cycle (length: number): string {
    const objects = [...this.#objects, this.#deepest]
    const first = objects.findIndex((object, depth) => object === objects[depth + length])
    const path = keyPath(this.#keys.slice(0, first + length + 1))
    return `${path} is an object that contains itself, and JSON has no cycles. Send an id instead`
  }
}

function under (error: unknown, key: Key, object: object): unknown {
  return error instanceof NotJson ? error.under(key, object) : error
}

function formOf (value: unknown, key: Key, depth: number, walk: Walk): unknown {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return value
    case 'number':
      return Number.isFinite(value) ? value : null
    case 'object':
      return value === null ? null : formOfObject(value, key, depth, walk)
    case 'bigint':
      // An app may define BigInt.prototype.toJSON.
      return formOfObject(value, key, depth, walk)
  }
  throw new NotJson(cures[typeof value as keyof typeof cures])
}

function formOfObject (value: object | bigint, key: Key, depth: number, walk: Walk): unknown {
  const { toJSON } = value as { toJSON?: unknown }
  if (typeof toJSON !== 'function') return contentOf(value, key, depth, walk)
  const form: unknown = toJSON.call(value, String(key))
  // A `toJSON` of the result is not called.
  return typeof form === 'object' || typeof form === 'bigint' ? contentOf(form, key, depth, walk) : formOf(form, key, depth, walk)
}

function contentOf (value: object | bigint | null, key: Key, depth: number, walk: Walk): unknown {
  if (value === null) return null
  if (typeof value === 'bigint') throw new NotJson(cures.bigint)
  if (depth === maxDepth) throw new NotJson(`is nested deeper than ${maxDepth}. Send less at once`, value)
  const prototype = Object.getPrototypeOf(value)
  const isCopied = walk.isCopied || types.isProxy(value)
  if (Array.isArray(value)) return formOfArray(value, isCopied || prototype !== Array.prototype, depth + 1, walk)
  if (prototype === Object.prototype || prototype === null) return formOfProperties(value, isCopied, walk.hasInherited, depth + 1, walk)
  if (types.isBoxedPrimitive(value)) return formOf(value.valueOf(), key, depth + 1, walk)
  requireContent(value)
  return formOfProperties(value, true, true, depth + 1, walk)
}

/** Throws for built-in objects, such as a Map, whose content JSON cannot represent. Objects of the app's own classes have properties. */
function requireContent (value: object): void {
  const name = Object.prototype.toString.call(value).slice(8, -1)
  const hasContent = name === 'Object' || (!ArrayBuffer.isView(value) && Object.keys(value).length > 0)
  if (hasContent) return
  const cure = contentCures[name] ?? 'Send what is in it as a plain object, an array or a string'
  throw new NotJson(`is of the class ${name}, whose content JSON cannot represent. ${cure}`)
}

function formOfArray (value: unknown[], isCopied: boolean, depth: number, walk: Walk): unknown[] {
  const { length } = value
  let copy: unknown[] | undefined = isCopied ? [] : undefined
  let at = 0
  try {
    for (; at < length; at++) {
      const part = value[at]
      const form = isItself(part) ? part : formOf(part, at, depth, walk)
      if (form !== part) copy ??= value.slice(0, at)
      copy?.push(form)
      count(1, walk)
    }
  } catch (error) {
    throw under(error, at, value)
  }
  return copy ?? value
}

/** Reads each property once. `for … in` is several times faster than Object.keys, and finds inherited properties too. */
function formOfProperties (value: object, isCopied: boolean, hasInherited: boolean, depth: number, walk: Walk): object {
  const source = value as Record<string, unknown>
  let copy: Record<string, unknown> | undefined = isCopied ? {} : undefined
  let found = 0
  let key = ''
  try {
    for (key in source) {
      if (hasInherited && !Object.hasOwn(source, key)) continue
      const part = source[key]
      if (part === undefined) continue
      const form = isItself(part) ? part : formOf(part, key, depth, walk)
      found++
      if (form !== part) copy ??= copyUpTo(key, source)
      if (copy !== undefined) set(copy, key, form)
    }
  } catch (error) {
    throw under(error, key, value)
  }
  count(found, walk)
  return copy ?? value
}

/** Copies the properties before `end`, which equal their JSON forms. */
function copyUpTo (end: string, source: Record<string, unknown>): Record<string, unknown> {
  const copy: Record<string, unknown> = {}
  for (const key of Object.keys(source)) {
    if (key === end) break
    if (source[key] !== undefined) set(copy, key, source[key])
  }
  return copy
}

/** An assignment to `__proto__` would set the prototype. */
function set (object: Record<string, unknown>, key: string, value: unknown): void {
  if (key === '__proto__') Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true })
  else object[key] = value
}

/** Whether a value equals its JSON form, like most values. */
function isItself (value: unknown): boolean {
  return typeof value === 'string' || typeof value === 'boolean' || (typeof value === 'number' && Number.isFinite(value))
}

function count (values: number, walk: Walk): void {
  walk.left -= values
  if (walk.left < 0) throw new errors.MESSAGE_TOO_LARGE(`more than ${walk.maxBytes}`, walk.maxBytes)
}

/** Path as a JSON Pointer (RFC 6901), like those of TypeBox. */
function keyPath (keys: Key[]): string {
  const path = keys.map(key => `/${String(key).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('')
  return path.length > maxPath ? `${path.slice(0, maxPath)}…` : path
}

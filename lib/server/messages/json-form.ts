import { types } from 'node:util'
import { errors } from '../../errors.js'

/** Maximum nesting of a value. A cyclic value is found out at this depth. */
const maxDepth = 500

/** Maximum characters of a path in an error message. */
const maxPath = 200

/** Bytes that a value takes in JSON at least: a digit and a comma. */
const leastBytes = 2

const cures = {
  function: 'is a function, which JSON does not have. Leave it out',
  symbol: 'is a symbol, which JSON does not have. Send its description',
  bigint: 'is a BigInt, which JSON does not have. Send it as a string',
  undefined: 'is undefined, which an array in JSON does not have. Send null, or leave the element out'
} as const

/** What to send in place of an object whose content JSON does not have, by the name of its class. */
const contentCures: Record<string, string> = {
  Map: 'Send Object.fromEntries(map)',
  Set: 'Send [...set]',
  Promise: 'Await it first',
  Error: 'Send its message',
  URLSearchParams: 'Send its toString()'
}

export interface JsonFormOptions {
  /** Maximum bytes of the JSON text. A value that has more in any case is not walked to its end. */
  maxBytes: number
  /** Copies every object, so that a getter or a Proxy cannot give another value to whoever reads the form. */
  isCopied: boolean
}

/**
 * What JSON has of a value: `toJSON` is called, NaN and Infinity are null, undefined properties are left out. Only plain
 * objects, arrays, strings, finite numbers, booleans and null are in it, and who reads it again finds the same.
 *
 * Without `isCopied` what is plain data already is returned as it is. That costs less; a getter of a plain object is then
 * read again, and undefined properties are left to JSON.stringify.
 *
 * Throws RT_ERR_INVALID_MESSAGE with the path, which begins with `name`, of what JSON does not have, RT_ERR_MESSAGE_TOO_LARGE,
 * and whatever a getter, a Proxy or `toJSON` throws.
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
  /** Every object has properties that JSON.stringify does not see. */
  readonly hasInherited: boolean
  readonly maxBytes: number
  /** Number of values that may still come. */
  left: number
}

type Key = string | number

/** JSON does not have a value. On its way out the error collects the path. */
class NotJson extends Error {
  readonly #reason: string
  /** The outermost first. */
  readonly #keys: Key[] = []
  readonly #objects: object[] = []
  /** Where nesting is too deep, the object that was not looked into. */
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

  /** The path to where the object comes again, the first time. */
  #cycle (length: number): string {
    const objects = [...this.#objects, this.#deepest]
    const first = objects.findIndex((object, depth) => object === objects[depth + length])
    return `${keyPath(this.#keys.slice(0, first + length + 1))} is an object that it is in itself, and JSON has no cycles. Send an id in its place`
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
      // Apps define BigInt.prototype.toJSON.
      return formOfObject(value, key, depth, walk)
  }
  throw new NotJson(cures[typeof value as keyof typeof cures])
}

function formOfObject (value: object | bigint, key: Key, depth: number, walk: Walk): unknown {
  const { toJSON } = value as { toJSON?: unknown }
  if (typeof toJSON !== 'function') return contentOf(value, key, depth, walk)
  const form: unknown = toJSON.call(value, String(key))
  // What it returned is not asked for a `toJSON` of its own.
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

/** JSON has nothing of a built-in object such as a Map. An object of a class of the app's own has properties. */
function requireContent (value: object): void {
  const name = Object.prototype.toString.call(value).slice(8, -1)
  const hasContent = name === 'Object' || (!ArrayBuffer.isView(value) && Object.keys(value).length > 0)
  if (hasContent) return
  const cure = contentCures[name] ?? 'Send what is in it as a plain object, an array or a string'
  throw new NotJson(`is of the class ${name}, whose content JSON does not have. ${cure}`)
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

/** The properties before `end`, which are their own forms. */
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

/** Whether a value is its own form, as most are. */
function isItself (value: unknown): boolean {
  return typeof value === 'string' || typeof value === 'boolean' || (typeof value === 'number' && Number.isFinite(value))
}

function count (values: number, walk: Walk): void {
  walk.left -= values
  if (walk.left < 0) throw new errors.MESSAGE_TOO_LARGE(`more than ${walk.maxBytes}`, walk.maxBytes)
}

/** As TypeBox writes it: a JSON Pointer (RFC 6901). */
function keyPath (keys: Key[]): string {
  const path = keys.map(key => `/${String(key).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('')
  return path.length > maxPath ? `${path.slice(0, maxPath)}…` : path
}

import { isDeepStrictEqual } from 'node:util'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import t from 'tap'
import { jsonForm } from '../../../lib/server/messages/json-form.js'
import { values } from '../../values.js'

const modes = [true, false]

function form (value: unknown, isCopied = true, maxBytes = 1_000_000): unknown {
  return jsonForm(value, 'data', { isCopied, maxBytes })
}

t.test('the form of plain data is the data itself, or a copy if isCopied is true', async t => {
  const data = { a: [1, 'b', null, true, { c: -1.5 }], d: {} }
  t.equal(form(data, false), data)
  t.strictSame(form(data), data)
  t.not(form(data), data)
  const parsed = JSON.parse('{"__proto__":{"a":{}},"constructor":[1]}')
  t.equal(JSON.stringify(form(parsed)), JSON.stringify(parsed), 'own properties of any name are kept')
  t.equal(Object.getPrototypeOf(form(parsed)), Object.prototype)
  t.strictSame(form(runInNewContext('({ a: [1] })')), { a: [1] }, 'an object of another realm is plain data, too')
})

t.test('a value that JSON changes has the form that JSON gives it', async t => {
  class Money {
    readonly #amount = 5
    currency = 'EUR'
    get amount () { return this.#amount }
  }
  const changed = [
    new Date(0), new Date(NaN), NaN, -Infinity, Object(5), Object('s'), Object(false), Buffer.from('ab'), new URL('http://a.example'), new Money(),
    Object.create(null), Object.create({ inherited: 1 }), { a: undefined, b: 1 }, Object.assign([1], { more: 2 }), { [Symbol('s')]: 1 },
    new Proxy({ a: 1 }, {}), new Proxy([1, 2], {}), { toJSON: (key: string) => key }, { toJSON: 5 },
    Object.defineProperty({ a: 1 }, 'hidden', { value: 2 }), { get a () { return 1 } }, runInNewContext('[1, { a: undefined }]')
  ]
  const around = (value: unknown) => ({ before: 1, value, list: [1, value] })
  const callable = Object.assign(() => {}, { toJSON: () => 5 })
  for (const isCopied of modes) {
    for (const value of changed) t.equal(JSON.stringify(form(around(value), isCopied)), JSON.stringify(around(value)))
    t.throws(() => form(around(callable), isCopied), { message: /\/data\/value is a function/ }, 'a function is refused, also if it has a toJSON')
  }
})

t.test('a form has no undefined properties', async t => {
  t.strictSame(Object.keys(form({ a: undefined, b: 1, c: undefined }) as object), ['b'])
  t.strictSame(Object.keys(form({ z: 1, a: undefined, b: NaN }, false) as object), ['z', 'b'], 'a form that differs has none either')
})

t.test('a BigInt throws, unless the app defines BigInt.prototype.toJSON', async t => {
  const prototype = BigInt.prototype as { toJSON?: () => string }
  t.throws(() => form({ n: 5n }), { message: /\/data\/n is a BigInt/ })
  prototype.toJSON = function () { return this.toString() }
  t.teardown(() => { delete prototype.toJSON })
  t.strictSame(form({ n: 5n, list: [6n] }), { n: '5', list: ['6'] })
  t.equal(form(Object(7n)), '7')
})

t.test('a value that JSON does not have throws an error with its path and a cure', async t => {
  const deep = (depth: number, value: unknown): unknown => depth === 0 ? value : deep(depth - 1, { d: value })
  const self: Record<string, unknown> = {}
  self.self = self
  const ring: Record<string, unknown> = { a: [{}] }
  ring.a = [{ b: ring }]
  const late = { first: { second: self } }
  const wrong: Array<[unknown, RegExp]> = [
    [() => {}, /\/data is a function.*Leave it out/],
    [{ a: [class {}] }, /\/data\/a\/0 is a function/],
    [Symbol('s'), /\/data is a symbol/],
    [{ 'a/b~c': 5n }, /\/data\/a~1b~0c is a BigInt.*string/],
    [[1, undefined], /\/data\/1 is undefined.*null/],
    [[, 1], /\/data\/0 is undefined/], // eslint-disable-line no-sparse-arrays
    [undefined, /\/data is undefined/],
    [self, /\/data\/self is an object that contains itself.*cycles/],
    [ring, /\/data\/a\/0\/b is an object/],
    [late, /\/data\/first\/second\/self is an object/],
    [deep(600, 1), /\/data\/d\/d.* is nested deeper than 500/],
    [{ m: new Map([[1, 2]]) }, /\/data\/m is of the class Map.*Object\.fromEntries/],
    [new Set([1]), /\/data is of the class Set.*\[\.\.\.set\]/],
    [{ user: Promise.resolve() }, /\/data\/user is of the class Promise.*Await/],
    [new Error('e'), /\/data is of the class Error.*message/],
    [new Uint8Array(2), /\/data is of the class Uint8Array/],
    [new ArrayBuffer(2), /\/data is of the class ArrayBuffer/],
    [new URLSearchParams('a=1'), /\/data is of the class URLSearchParams.*toString/],
    [/x/, /\/data is of the class RegExp/],
    [Object(Symbol('s')), /\/data is a symbol/],
    [{ toJSON: () => () => {} }, /\/data is a function/],
    [{ toJSON: () => new Date(0) }, /\/data is of the class Date/],
    [{ toJSON: () => 5n }, /\/data is a BigInt/],
    [{ a: { toJSON: () => ({ b: 5n }) } }, /\/data\/a\/b is a BigInt/],
    [['x'.repeat(500), { ['k'.repeat(500)]: 5n }], /\/data\/1\/k{190,}… is a BigInt/]
  ]
  for (const isCopied of modes) for (const [value, message] of wrong) t.throws(() => form(value, isCopied), { code: 'RT_ERR_INVALID_MESSAGE', message })
  t.doesNotThrow(() => form(deep(499, 1)))
})

t.test('a value that exceeds the maximum size throws before it is read to its end', async t => {
  let shared: unknown = [1, 1]
  for (let depth = 0; depth < 60; depth++) shared = [shared, { shared }]
  for (const isCopied of modes) {
    for (const value of [shared, Array.from({ length: 51 }, () => 1), Object.fromEntries(Array.from({ length: 51 }, (_, n) => [n, 1]))]) {
      t.throws(() => form(value, isCopied, 100), { code: 'RT_ERR_MESSAGE_TOO_LARGE', message: /more than 100 bytes/ })
    }
    t.doesNotThrow(() => form(Array.from({ length: 50 }, () => 1), isCopied, 100))
    t.doesNotThrow(() => form(Object.fromEntries(Array.from({ length: 500 }, (_, n) => [n, undefined])), isCopied, 100))
  }
})

t.test('an error that a value throws when it is read is thrown unchanged', async t => {
  const error = new Error('of the app')
  for (const value of [{ get a () { throw error } }, { toJSON () { throw error } }, new Proxy({}, { ownKeys () { throw error } })]) {
    for (const isCopied of modes) t.throws(() => form({ a: [value] }, isCopied), error)
  }
})

t.test('a form has no properties that an app added to Object.prototype', async t => {
  const prototype = Object.prototype as { extension?: unknown }
  prototype.extension = () => {}
  t.teardown(() => { delete prototype.extension })
  for (const isCopied of modes) t.equal(JSON.stringify(form({ a: [{ b: NaN }] }, isCopied)), '{"a":[{"b":null}]}')
})

t.test('the copied form of any value equals its parsed JSON, and has the same JSON each time', async t => {
  let forms = 0
  fc.assert(fc.property(values, make => {
    let copy: unknown
    try {
      copy = form(make(), true, 20_000)
    } catch {
      return true
    }
    forms++
    const json = JSON.stringify(copy)
    return json === JSON.stringify(copy) && isDeepStrictEqual(normal(JSON.parse(json)), normal(copy))
  }), { numRuns: 5_000 })
  t.ok(forms > 500, `${forms} values had a form`)
})

t.test('both forms of a JSON value have the same JSON', async () => {
  fc.assert(fc.property(fc.jsonValue(), value => {
    const json = JSON.stringify(value)
    return JSON.stringify(form(value)) === json && JSON.stringify(form(value, false)) === json
  }))
})

/** JSON does not distinguish -0 from 0. */
function normal (value: unknown): unknown {
  if (Array.isArray(value)) return value.map(normal)
  if (typeof value !== 'object' || value === null) return Object.is(value, -0) ? 0 : value
  return Object.entries(value).map(([key, part]) => [key, normal(part)])
}

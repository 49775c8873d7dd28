import fc from 'fast-check'

/** Values that are not JSON, that change in JSON, or that differ at each read. */
const odd: Array<() => unknown> = [
  () => undefined, () => NaN, () => -Infinity, () => -0, () => 5n, () => Symbol('s'), () => () => 5, () => class {},
  () => new Date(0), () => new Date(NaN), () => new Map([[1, 2]]), () => new Set([1]), () => new WeakMap(), () => /x/, () => new Error('e'),
  () => Promise.resolve(5), () => new Uint8Array(3), () => Buffer.from('ab'), () => new ArrayBuffer(2),
  () => new URL('http://a.example'), () => new URLSearchParams('a=1'),
  () => Object(5), () => Object('s'), () => Object(true), () => Object(5n), () => Object(Symbol('s')),
  () => Object.assign(Object(5), { valueOf () { return this } }),
  () => Object.create(null), () => Object.create({ order_id: 5 }), () => ({ __proto__: { order_id: 5 } }), () => JSON.parse('{"__proto__":{"order_id":5},"a":1}'),
  () => [,], // eslint-disable-line no-sparse-arrays
  () => new Array(1e9), () => new class extends Array { toJSON () { return 5 } }(),
  () => { const cyclic: Record<string, unknown> = {}; cyclic.a = { b: [cyclic] }; return cyclic },
  () => { let deep: unknown = 1; for (let depth = 0; depth < 3_000; depth++) deep = [deep]; return deep },
  () => { let wide: unknown = [1, 1]; for (let depth = 0; depth < 40; depth++) wide = [wide, wide]; return wide },
  () => { let reads = 0; return { get order_id () { return reads++ % 2 === 0 ? 5 : 'five' } } },
  () => { let reads = 0; return { get order_id () { return reads++ % 2 === 0 ? 'five' : 5 } } },
  () => { let calls = 0; return { toJSON: () => calls++ % 2 === 0 ? { order_id: 5 } : { order_id: 'five' } } },
  () => ({ get a () { throw new Error('of the app') } }),
  () => ({ toJSON () { throw null } }), // eslint-disable-line no-throw-literal
  () => ({ toJSON: 5, a: 1 }), () => ({ toJSON () { return this } }),
  () => ({ toJSON: () => () => 5 }), () => ({ toJSON: () => 5n }), () => ({ toJSON: () => undefined }),
  () => new Proxy({ order_id: 5 }, {}), () => new Proxy([1, 2], {}),
  () => new Proxy({}, { get () { throw new Error('of the app') } }), () => new Proxy({}, { ownKeys () { throw new Error('of the app') } }),
  () => { let reads = 0; return new Proxy({ order_id: 5 }, { get: (_target, key) => key === 'order_id' ? [5, 'five'][reads++ % 2] : undefined }) },
  () => { const { proxy, revoke } = Proxy.revocable({}, {}); revoke(); return proxy },
  () => globalThis.process
]

type Make = () => unknown

const everything = {
  withBigInt: true,
  withDate: true,
  withMap: true,
  withSet: true,
  withTypedArray: true,
  withNullPrototype: true,
  withSparseArray: true,
  withBoxedValues: true
}

const { make } = fc.letrec<{ make: Make }>(tie => ({
  make: fc.oneof({ maxDepth: 4 },
    fc.jsonValue({ maxDepth: 2 }).map(value => () => value),
    fc.constantFrom(...odd),
    fc.anything({ ...everything, maxDepth: 2 }).map(value => () => value),
    fc.array(tie('make'), { maxLength: 3 }).map(parts => () => parts.map(part => part())),
    fc.dictionary(fc.constantFrom('a', 'b', 'order_id', 'toJSON', '__proto__', 'constructor', ''), tie('make'), { maxKeys: 4 })
      .map(parts => () => Object.fromEntries(Object.entries(parts).map(([key, part]) => [key, part()]))),
    tie('make').map(part => () => ({ toJSON: part })),
    tie('make').map(part => () => new class { order_id = part() }()),
    tie('make').map(part => () => new Proxy({ order_id: part() }, {})))
}))

/** Makers of arbitrary JavaScript values, most of them not JSON. They are makers because fast-check inspects values that it gets. */
export const values = make

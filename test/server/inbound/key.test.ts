import fc from 'fast-check'
import t from 'tap'
import { keyOf } from '../../../lib/server/inbound/key.js'

t.test('different parts never make the same key', async t => {
  const parts = fc.array(fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('', ' ', '"', '","', '\\', '\ud800', '\udc00')), { maxLength: 4 })
  const isSame = (a: string[], b: string[]) => a.length === b.length && a.every((part, at) => part === b[at])
  fc.assert(fc.property(parts, parts, (a, b) => (keyOf(...a) === keyOf(...b)) === isSame(a, b)), { numRuns: 2_000 })
  t.not(keyOf('m1', 'ada'), keyOf('m1 ada'))
  t.not(keyOf('a', 'b c'), keyOf('a b', 'c'))
})

t.test('a key is unchanged by UTF-8, the encoding of keys in Redis', async t => {
  const written = (key: string) => Buffer.from(key).toString()
  for (const key of [keyOf('m\ud800'), keyOf('m\ud801'), keyOf('日本', '😀')]) t.equal(written(key), key)
})

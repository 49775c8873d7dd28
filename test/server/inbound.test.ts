import { Type } from '@sinclair/typebox'
import t from 'tap'
import { Catalogue } from '../../lib/server/catalogue.js'
import { RateLimit, Strikes, parseInbound } from '../../lib/server/inbound.js'

const catalogue = new Catalogue({ messages: { vote: Type.Object({ choice: Type.Integer() }) }, strict: false, maxBytes: 1_000 })

t.test('messages', async t => {
  for (const message of [
    { type: 'x' }, { type: 'x', ref: 'r' }, { type: 'x', ref: 7, data: null }, { type: 'vote', data: { choice: 1 } },
    { type: 'x', id: 'i', action: 'a', message: 'm', data: [1], timestamp: '2026-01-01T00:00:00Z' }
  ]) t.strictSame(parseInbound(JSON.stringify(message), catalogue), { message })
})

t.test('faults', async t => {
  const deep = (depth: number) => `{"type":"x","data":${'['.repeat(depth)}${']'.repeat(depth)}}`
  const faults: Array<[string, string, (string | number)?]> = [
    ['', 'bad_json'], ['{', 'bad_json'], ['undefined', 'bad_json'],
    ['null', 'bad_message'], ['7', 'bad_message'], ['[]', 'bad_message'], ['{}', 'bad_message'],
    ['{"type":7,"ref":"r"}', 'bad_message', 'r'], ['{"type":"","ref":3}', 'bad_message', 3], ['{"type":"x","ref":{}}', 'bad_message'],
    ['{"type":"x","ref":""}', 'bad_message'], ['{"type":"x","ref":1.5}', 'bad_message'],
    ['{"type":"x","other":1}', 'bad_message'], ['{"type":"x","timestamp":"yesterday"}', 'bad_message'],
    ['{"type":"x","timestamp":"2026-99-99T00:00:00Z"}', 'bad_message'],
    ['{"type":"vote","data":{"choice":"a"},"ref":1}', 'bad_message', 1], ['{"type":"vote"}', 'bad_message'],
    ['{"type":"x","data":{"__proto__":{"a":1}}}', 'bad_message'], ['{"type":"x","data":[{"\\u005f_proto__":1}]}', 'bad_message'],
    ['{"type":"x","__proto__":null}', 'bad_message'], [deep(64), 'bad_message'], [deep(30_000), 'bad_message']
  ]
  for (const [text, code, ref] of faults) {
    const { fault } = parseInbound(text, catalogue)
    t.match(fault, { code }, text.slice(0, 60))
    t.equal(fault?.ref, ref)
  }
  t.ok(parseInbound(deep(63), catalogue).message)
  t.equal(({} as { a?: number }).a, undefined)
})

t.test('a rate limit gives a burst at once, then what comes back with time', async t => {
  const limit = new RateLimit(10, 5, 0)
  t.strictSame(Array.from({ length: 6 }, () => limit.take(0)), [true, true, true, true, true, false])
  t.equal(limit.take(99), false)
  t.equal(limit.take(200), true)
  t.strictSame(Array.from({ length: 6 }, () => limit.take(1e6)), [true, true, true, true, true, false])
})

t.test('strikes count within their window', async t => {
  const strikes = new Strikes(3, 1_000)
  t.strictSame([0, 500, 1_100, 1_400].map(now => strikes.add(now)), [false, false, false, true])
})

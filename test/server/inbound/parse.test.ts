import t from 'tap'
import { Strikes, parseInbound } from '../../../lib/server/inbound/parse.js'
import { Kind, Type, TypeRegistry } from '@sinclair/typebox'
import fc from 'fast-check'
import { Catalogue } from '../../../lib/server/messages/catalogue.js'

const catalogue = new Catalogue({ messages: { order: Type.Object({ n: Type.Integer() }) }, strict: true, maxBytes: 10_000 })

const parse = (text: string) => parseInbound(text, value => catalogue.inboundFault(value), 1_000)

const faultOf = (value: unknown) => parse(JSON.stringify(value)).fault

/** `depth` nested objects or arrays. */
function nested (depth: number, open = '[', close = ']'): string {
  return open.repeat(depth) + '1'.repeat(open === '[' ? 1 : 0) + close.repeat(depth)
}

t.test('a frame of a client is a message or a fault', async t => {
  t.test('a valid frame gives its message unchanged', async t => {
    const message = { type: 'other', ref: 'r', id: 'i', action: 'a', data: { x: [1, null] }, message: 'm', timestamp: '2026-07-01T12:00:00Z' }
    t.strictSame(parse(JSON.stringify(message)), { message })
    t.strictSame(parse(' {"type":"order","data":{"n":5}} '), { message: { type: 'order', data: { n: 5 } } })
  })

  t.test('a check of the app that throws is a fault of the server, with the ref of the frame', async t => {
    TypeRegistry.Set('Throwing', () => { throw new Error('of the check') })
    t.teardown(() => TypeRegistry.Delete('Throwing'))
    const messages = { odd: Type.Unsafe({ [Kind]: 'Throwing' }) }
    const catalogue = new Catalogue({ messages, strict: true, maxBytes: 10_000 })
    const parsed = parseInbound('{"type":"odd","ref":"r","data":1}', value => catalogue.inboundFault(value), 1_000)
    t.match(parsed, { fault: { code: 'handler_failed', ref: 'r' }, thrown: { message: 'of the check' } })
    t.notMatch(parsed.fault!.message, 'of the check')
  })

  t.test('a frame that is not JSON is bad_json', async t => {
    for (const text of ['', ' ', '{', 'ping', "{'type':'ping'}", '{"type":"ping"}}', 'undefined', 'NaN', '\ufeff{"type":"ping"}', '\0']) {
      t.strictSame(parse(text), { fault: { code: 'bad_json', message: 'the frame is not JSON' } }, JSON.stringify(text))
    }
  })

  t.test('JSON that is not a message is bad_message, with its path', async t => {
    for (const value of [null, true, 5, 'ping', [], [{ type: 'ping' }], {}, { type: 5 }, { type: '' }, { type: 'a', to: 'b' }, { type: 'order', data: { n: 'one' } }]) {
      t.match(faultOf(value), { code: 'bad_message', message: /\S/ }, JSON.stringify(value))
    }
    t.match(faultOf({ type: 'order', data: { n: 'one' } })?.message, /^\/data\/n /)
  })

  t.test('a fault has the ref of the message if the ref is valid', async t => {
    for (const ref of ['r', 'x'.repeat(128), 0, 5, -1]) t.equal(faultOf({ ref })?.ref, ref)
    for (const ref of ['', 'x'.repeat(129), 1.5, 1e300, null, {}, ['r'], true, undefined]) {
      const fault = faultOf({ ref })
      t.strictSame([fault?.code, fault?.ref], ['bad_message', undefined], JSON.stringify(ref))
    }
    for (const value of [null, 5, 'ref', []]) t.strictSame([faultOf(value)?.code, faultOf(value)?.ref], ['bad_message', undefined])
  })

  t.test('the key __proto__ is refused at every depth', async t => {
    const texts = [
      '{"type":"a","__proto__":{}}', '{"__proto__":null,"type":"a"}', '{"type":"a","data":{"__proto__":1}}', '{"type":"a","data":[[{"x":{"__proto__":[]}}]]}',
      '{"type":"a","data":{"__pro\\u0074o__":1}}', '[{"__proto__":1}]'
    ]
    for (const text of texts) t.match(parse(text).fault, { code: 'bad_message', message: 'a key is __proto__' }, text)
    t.equal(parse('{"type":"a","data":{"text":"__proto__","constructor":{"prototype":1}}}').fault, undefined, 'other keys are accepted')
    t.equal(({} as { polluted?: boolean }).polluted, undefined)
  })

  t.test('data may be nested 64 levels deep, and no deeper', async t => {
    for (const [open, close] of [['[', ']'], ['{"a":', '}']]) {
      const text = (depth: number) => `{"type":"a","data":${open.repeat(depth)}1${close.repeat(depth)}}`
      t.equal(parse(text(64)).fault, undefined)
      t.match(parse(text(65)).fault, { code: 'bad_message', message: 'nested deeper than 64' })
    }
    t.match(parse(nested(1_000_000)).fault, { code: 'bad_message', message: 'nested deeper than 64' }, 'parse() does not recurse')
    t.equal(parse(`{"type":"a","data":[${'[1],'.repeat(490)}0]}`).fault, undefined, 'a wide array is not deep')
  })

  t.test('a message with more values than allowed is too_big, and objects, arrays and their content count as values', async t => {
    const textOf = (data: unknown, rest: object) => JSON.stringify({ type: 'a', ref: 'r', ...rest, data })
    const faultOf = (data: unknown, rest = {}) => parseInbound(textOf(data, rest), value => catalogue.inboundFault(value), 10).fault
    // The message, its type, its ref and its data count as four values.
    const right: unknown[] = [[1, 2, 3, 4, 5, 6], { a: 1, b: 2, c: 3, d: 4, e: 5, f: 6 }, [[[[[[]]]]]], 'x'.repeat(9_000), [null, '', {}, [], 0, false]]
    const wrong = [
      [1, 2, 3, 4, 5, 6, 7], { a: 1, b: 2, c: 3, d: 4, e: 5, f: 6, g: 7 }, [[[[[[[[]]]]]]]], [[1, 2, 3], [4, 5]], Array(5_000).fill(0)
    ]
    for (const data of right) t.equal(faultOf(data), undefined, JSON.stringify(data).slice(0, 40))
    for (const data of wrong) t.match(faultOf(data), { code: 'too_big', ref: 'r', message: /more than 10 values/ }, JSON.stringify(data).slice(0, 40))
    t.match(faultOf([1, 2, 3, 4, 5, 6], { x: 1 }), { code: 'too_big' }, 'an invalid message is too_big, too')
  })

  t.test('a frame of any text is either a message or a fault', async t => {
    t.doesNotThrow(() => fc.assert(fc.property(fc.oneof(fc.string(), fc.json(), fc.object({ key: fc.constantFrom('type', 'ref', 'data', '__proto__', 'x') }).map(value => JSON.stringify(value))), text => {
      const { message, fault } = parse(text)
      return (message === undefined) !== (fault === undefined)
    }), { numRuns: 500 }))
  })
})

t.test('Strikes counts recent strikes up to a limit', async t => {
  t.test('add() returns true from the strike that reaches the limit on', async t => {
    const strikes = new Strikes(5)
    t.strictSame([0, 1, 2, 3, 4, 5].map(now => strikes.add(now)), [false, false, false, false, true, true])
  })

  t.test('only strikes within the last minute count', async t => {
    const strikes = new Strikes(2)
    t.equal(strikes.add(0), false)
    t.equal(strikes.add(60_000), false)
    t.equal(strikes.add(119_999), true)
    const strict = new Strikes(1)
    t.equal(strict.add(0), true)
  })

  t.test('only strikes within the given time count', async t => {
    const strikes = new Strikes(2, 100)
    t.equal(strikes.add(0), false)
    t.equal(strikes.add(100), false)
    t.equal(strikes.add(150), true)
  })
})

import { FormatRegistry, Type, type TSchema } from '@sinclair/typebox'
import t from 'tap'
import { Catalogue, type CatalogueOptions } from '../../lib/server/catalogue.js'
import { controlTypes } from '../../lib/protocol/envelope.js'

function make (options: Partial<CatalogueOptions> = {}): Catalogue {
  return new Catalogue({ messages: {}, strict: false, maxBytes: 10_000, ...options })
}

const order = Type.Object({ order_id: Type.Integer() })

/** What plain JavaScript may pass. */
const any = (value: unknown) => value as Parameters<Catalogue['encode']>[0]

t.test('encode', async t => {
  t.test('writes the envelope in one order and nothing else', async t => {
    const timestamp = '2026-07-01T12:00:00.000Z'
    const { json, timestamp: told } = make().encode({ timestamp, message: 'm', data: { title: 't' }, action: 'created', type: 'notification' })
    t.equal(json, `{"type":"notification","action":"created","data":{"title":"t"},"message":"m","timestamp":"${timestamp}"}`)
    t.equal(told, timestamp)
    t.equal(make().encode({ type: 'other', timestamp }).json, `{"type":"other","timestamp":"${timestamp}"}`)
  })

  t.test('fills in the time', async t => {
    const before = new Date().toISOString()
    const { json, timestamp } = make().encode({ type: 'other' })
    t.ok(timestamp >= before && timestamp <= new Date().toISOString())
    t.equal(JSON.parse(json).timestamp, timestamp)
  })

  t.test('refuses what is not in the envelope', async t => {
    const wrong = [undefined, null, 5, 'text', [], {}, { type: 5 }, { type: '' }, { type: 'a', id: 'u.a.1' }, { type: 'a', to: 'b' }, { type: 'a', timestamp: 'now' }]
    for (const message of wrong) t.throws(() => make().encode(any(message)), { code: 'RT_ERR_INVALID_MESSAGE', statusCode: 400 }, JSON.stringify(message))
    t.throws(() => make().encode({ type: 'notification', data: { title: 5 } }), { message: /\/data\/title .*string/i }, 'and says where')
    t.throws(() => make().encode(any(5)), { message: /not sent: Expected/i })
  })

  t.test('refuses what is something else each time it is looked at', async t => {
    let looks = 0
    const changing = { type: 'other', get message () { return looks++ < 2 ? 5 : 'text' } }
    t.throws(() => make().encode(any(changing)), { code: 'RT_ERR_INVALID_MESSAGE', message: /does not match its schema/ })
  })

  t.test('checks the common types and the app\'s', async t => {
    const catalogue = make({ messages: { order } })
    t.doesNotThrow(() => catalogue.encode({ type: 'order', data: { order_id: 5 } }))
    t.throws(() => catalogue.encode({ type: 'order', data: { order_id: 'five' } }), { code: 'RT_ERR_INVALID_MESSAGE', message: /order_id/ })
    t.throws(() => catalogue.encode({ type: 'order' }), { code: 'RT_ERR_INVALID_MESSAGE' })
    t.throws(() => catalogue.encode({ type: 'task_update', data: {} }), { code: 'RT_ERR_INVALID_MESSAGE' })
    t.throws(() => catalogue.encode({ type: 'system_announcement' }), { code: 'RT_ERR_INVALID_MESSAGE' })
  })

  t.test('lets other types pass, unless strict', async t => {
    t.doesNotThrow(() => make().encode({ type: 'other', data: [1] }))
    const strict = make({ strict: true, messages: { order } })
    t.throws(() => strict.encode({ type: 'other' }), { code: 'RT_ERR_INVALID_MESSAGE', message: /'strict' is on .*'other'.*'messages'/ })
    t.doesNotThrow(() => strict.encode({ type: 'order', data: { order_id: 5 } }))
    t.doesNotThrow(() => strict.encode({ type: 'chat_message', data: { content: 'hi' } }))
    for (const type of ['toString', '__proto__', 'constructor']) t.throws(() => strict.encode({ type }), { code: 'RT_ERR_INVALID_MESSAGE' })
  })

  t.test('refuses the connection-level types', async t => {
    for (const type of controlTypes) {
      t.throws(() => make().encode({ type, data: {} }), { code: 'RT_ERR_INVALID_MESSAGE', message: new RegExp(`'${type}' is for fastify-realtime alone`) })
    }
  })

  t.test('refuses what is not JSON', async t => {
    const circular: Record<string, unknown> = {}
    circular.self = circular
    for (const data of [circular, 5n, { at: { deep: 1n } }]) {
      t.throws(() => make().encode({ type: 'other', data }), { code: 'RT_ERR_INVALID_MESSAGE', message: /not JSON \([^\n]+\)$/ })
    }
    // eslint-disable-next-line no-throw-literal
    const throws = { toJSON () { throw 'a string' } }
    t.throws(() => make().encode({ type: 'other', data: throws }), { code: 'RT_ERR_INVALID_MESSAGE', message: /\(a string\)/ })
  })

  t.test('refuses what throws when it is looked at, whatever it throws', async t => {
    for (const thrown of [new Error('of the app'), null, Object.create(null), 'text']) {
      const messages = [
        { type: 'other', get data () { throw thrown } },
        { type: 'other', data: { toJSON () { throw thrown } } },
        new Proxy({}, { get () { throw thrown } })
      ]
      for (const message of messages) t.throws(() => make().encode(any(message)), { code: 'RT_ERR_INVALID_MESSAGE' })
    }
  })

  t.test('counts bytes, not characters', async t => {
    const timestamp = '2026-07-01T12:00:00Z'
    const sizeOf = (text: string) => Buffer.byteLength(JSON.stringify({ type: 'a', data: text, timestamp }))
    for (const character of ['x', 'ü', '漢', '👋']) {
      const text = character.repeat(100)
      t.doesNotThrow(() => make({ maxBytes: sizeOf(text) }).encode({ type: 'a', data: text, timestamp }), character)
      t.throws(() => make({ maxBytes: sizeOf(text) - 1 }).encode({ type: 'a', data: text, timestamp }),
        { code: 'RT_ERR_MESSAGE_TOO_LARGE', statusCode: 413, message: new RegExp(`${sizeOf(text)} bytes .* is ${sizeOf(text) - 1}`) }, character)
    }
  })
})

t.test('inboundFault', async t => {
  const catalogue = make({ messages: { order } })
  for (const message of [{ type: 'ping' }, { type: 'other', data: 5 }, { type: 'order', data: { order_id: 5 }, ref: 'r' }, { type: 'chat_message', data: { content: 'hi' } }]) {
    t.equal(catalogue.inboundFault(message), undefined, JSON.stringify(message))
  }
  t.match(catalogue.inboundFault({ type: 'order', data: { order_id: 'five' } }), /^\/data\/order_id .*integer/i)
  t.match(catalogue.inboundFault({ type: 'order' }), /^\/data .*object/i)
  t.match(catalogue.inboundFault({ type: 'a', to: 'b' }), /^\/to /)
  t.match(catalogue.inboundFault({}), /^\/type /)
  for (const message of [null, 5, 'text', [], undefined]) t.type(catalogue.inboundFault(message), 'string')
  for (const type of ['toString', '__proto__', 'constructor']) t.equal(catalogue.inboundFault({ type }), undefined, type)
})

t.test('the schemas that an app gives', async t => {
  t.test('may not have names of our own', async t => {
    for (const type of [...controlTypes, 'notification', 'chat_message', 'task_update', 'system_announcement']) {
      t.throws(() => make({ messages: { [type]: order } }), { code: 'RT_ERR_OPTIONS', message: new RegExp(`'${type}'.*choose another name`) })
    }
  })

  t.test('must be TypeBox', async t => {
    const wrong = [{ type: 'object' }, {}, Type.Ref('nowhere')] as TSchema[]
    for (const schema of wrong) {
      t.throws(() => make({ messages: { order: schema } }), { code: 'RT_ERR_OPTIONS', message: /'order' cannot be compiled .*@sinclair\/typebox 0\.34/ })
    }
  })

  t.test('may use only formats that are known', async t => {
    t.teardown(() => FormatRegistry.Delete('order-number'))
    const schema = Type.Object({ lines: Type.Array(Type.Object({ number: Type.String({ format: 'order-number' }) })) })
    t.throws(() => make({ messages: { order: schema } }), { code: 'RT_ERR_OPTIONS', message: /'order' uses the format 'order-number'.*FormatRegistry\.Set\('order-number'/ })
    FormatRegistry.Set('order-number', value => /^\d+$/.test(value))
    const catalogue = make({ messages: { order: schema } })
    t.doesNotThrow(() => catalogue.encode({ type: 'order', data: { lines: [{ number: '5' }] } }))
    t.throws(() => catalogue.encode({ type: 'order', data: { lines: [{ number: 'five' }] } }), { code: 'RT_ERR_INVALID_MESSAGE' })
    t.doesNotThrow(() => make({ messages: { at: Type.String({ format: 'date-time' }) } }))
  })

  t.test('may hold any values, and themselves', async t => {
    const schema: TSchema & { self?: unknown } = Type.Object({ format: Type.String({ default: { format: 'none' }, examples: [{ format: 'none' }] }), enum: Type.Const({ format: 'none' }) })
    schema.self = schema
    t.doesNotThrow(() => make({ messages: { order: schema } }))
    t.throws(() => make({ messages: { order: Type.Object({ default: Type.String({ format: 'none' }) }) } }), { message: /format 'none'/ }, 'a property by the name of a keyword is a schema')
  })

  t.test('may have a property with the name format', async t => {
    const schema = Type.Object({ format: Type.String(), const: Type.Null() })
    t.doesNotThrow(() => make({ messages: { file: schema } }).encode({ type: 'file', data: { format: 'pdf', const: null } }))
  })

  t.test('may be recursive, unions and references', async t => {
    const tree = Type.Recursive(self => Type.Object({ children: Type.Array(self) }))
    const catalogue = make({ messages: { tree, either: Type.Union([Type.String(), Type.Null()]) } })
    t.doesNotThrow(() => catalogue.encode({ type: 'tree', data: { children: [{ children: [] }] } }))
    t.throws(() => catalogue.encode({ type: 'tree', data: { children: [{}] } }), { code: 'RT_ERR_INVALID_MESSAGE' })
    t.doesNotThrow(() => catalogue.encode({ type: 'either', data: null }))
  })
})

import { FormatRegistry, Type, type TSchema } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import fc from 'fast-check'
import t from 'tap'
import { Catalogue, type CatalogueOptions } from '../../../lib/server/messages/catalogue.js'
import { controlTypes } from '../../../lib/protocol/envelope.js'
import { values } from '../../values.js'

function make (options: Partial<CatalogueOptions> = {}): Catalogue {
  return new Catalogue({ messages: {}, strict: false, maxBytes: 10_000, ...options })
}

const order = Type.Object({ order_id: Type.Integer() })

/** Any value, as plain JavaScript may pass it. */
const any = (value: unknown) => value as Parameters<Catalogue['encode']>[0]

t.test('encode() checks and serializes a message', async t => {
  t.test('an envelope has only the given fields, in a fixed order', async t => {
    const timestamp = '2026-07-01T12:00:00.000Z'
    const { json, timestamp: told } = make().encode({ timestamp, message: 'm', data: { title: 't' }, action: 'created', type: 'notification' })
    t.equal(json, `{"type":"notification","action":"created","data":{"title":"t"},"message":"m","timestamp":"${timestamp}"}`)
    t.equal(told, timestamp)
    t.equal(make().encode({ type: 'other', timestamp }).json, `{"type":"other","timestamp":"${timestamp}"}`)
  })

  t.test('a message without a timestamp gets the current time', async t => {
    const before = new Date().toISOString()
    const { json, timestamp } = make().encode({ type: 'other' })
    t.ok(timestamp >= before && timestamp <= new Date().toISOString())
    t.equal(JSON.parse(json).timestamp, timestamp)
  })

  t.test('a message that is not a valid envelope throws RT_ERR_INVALID_MESSAGE', async t => {
    const wrong = [undefined, null, 5, 'text', [], {}, { type: 5 }, { type: '' }, { type: 'a', id: 'u.a.1' }, { type: 'a', to: 'b' }, { type: 'a', timestamp: 'now' }]
    for (const message of wrong) t.throws(() => make().encode(any(message)), { code: 'RT_ERR_INVALID_MESSAGE', statusCode: 400 }, JSON.stringify(message))
    t.throws(() => make().encode({ type: 'notification', data: { title: 5 } }), { message: /\/data\/title .*string/i }, 'with its path')
    t.throws(() => make().encode(any(5)), { message: /not sent: Expected/i })
  })

  t.test('each field is read once, and the value that was read is checked and sent', async t => {
    const timestamp = '2026-07-01T12:00:00.000Z'
    const good = { type: 'order', action: 'created', data: { order_id: 5 }, message: 'text', timestamp }
    for (const field of Object.keys(good)) {
      const valid = good[field as keyof typeof good]
      let reads = 0
      const encode = (first: unknown, second: unknown) =>
        make({ messages: { order } }).encode(any({ ...good, get [field] () { return reads++ === 0 ? first : second } })).json
      t.equal(encode(valid, 5n), JSON.stringify(good), field)
      t.equal(reads, 1)
      reads = 0
      t.throws(() => encode(5n, valid), { code: 'RT_ERR_INVALID_MESSAGE', message: new RegExp(`/${field} is a BigInt`) }, field)
      t.equal(reads, 1)
    }
  })

  t.test('the JSON form of the data is checked and sent', async t => {
    const catalogue = make({ messages: { order } })
    const of = (data: unknown) => () => catalogue.encode(any({ type: 'order', data })).json
    class Order {
      order_id: unknown
      constructor (id: unknown) { this.order_id = id }
    }
    const inherited = Object.create({ order_id: 5 })
    const hidden = Object.defineProperty({}, 'order_id', { value: 5 })
    const onlyOnPrototype = new class { get order_id () { return 5 } }()
    const proxied = (values: unknown[]) => new Proxy({ order_id: 0 }, { get: (_target, key) => key === 'order_id' ? values.shift() : undefined })
    for (const data of [new Order(5), { toJSON: () => ({ order_id: 5 }) }, { order_id: { toJSON: () => 5 } }, { order_id: Object(5) }, proxied([5, 'five']), { order_id: 5, more: undefined }]) {
      t.match(of(data)(), '"data":{"order_id":5},')
    }
    for (const data of [new Order('5'), { order_id: 5, toJSON: () => ({ order_id: '5' }) }, { order_id: new Date() }, inherited, hidden, onlyOnPrototype, proxied(['five', 5]), { order_id: NaN }]) {
      t.throws(of(data), { code: 'RT_ERR_INVALID_MESSAGE', message: /\/data\/order_id (Expected|must)/ })
    }
    let calls = 0
    const changing = { toJSON: () => ({ order_id: calls++ === 0 ? 5 : 'five' }) }
    t.match(of(changing)(), '"data":{"order_id":5},')
    t.equal(calls, 1)
  })

  t.test('an action, message or timestamp whose JSON form is a string is sent as this string', async t => {
    const at = new Date('2026-07-01T12:00:00.000Z')
    const { json, timestamp } = make().encode(any({ type: 'other', timestamp: at, message: Object('text'), action: { toJSON: () => 'created' } }))
    t.equal(json, '{"type":"other","action":"created","message":"text","timestamp":"2026-07-01T12:00:00.000Z"}')
    t.equal(timestamp, at.toISOString())
    for (const field of ['action', 'message', 'timestamp']) {
      for (const value of [new Map(), () => 'text', { toJSON: () => 5 }, Symbol('text')]) {
        t.throws(() => make().encode(any({ type: 'other', [field]: value })), { code: 'RT_ERR_INVALID_MESSAGE', message: new RegExp(`/${field} `) })
      }
    }
  })

  t.test('the error of a schema for a value that JSON does not have names the cure', async t => {
    const catalogue = make({ messages: { event: Type.Object({ at: Type.Date(), n: Type.Optional(Type.Number()) }), when: Type.Object({ at: Type.String({ format: 'date-time' }), n: Type.Optional(Type.Number()) }) } })
    const data = { at: new Date('2026-07-01T12:00:00.000Z') }
    t.match(catalogue.encode({ type: 'when', data }).json, '"data":{"at":"2026-07-01T12:00:00.000Z"}')
    t.throws(() => catalogue.encode({ type: 'event', data }), { code: 'RT_ERR_INVALID_MESSAGE', message: /\/data\/at Expected Date.*Type\.String\(\{ format: 'date-time' \}\)/ })
    t.throws(() => catalogue.encode({ type: 'when', data: { ...data, n: Infinity } }), { code: 'RT_ERR_INVALID_MESSAGE', message: /\/data\/n Expected.*number, got null.*NaN and Infinity/ })
  })

  t.test('a type whose data may be undefined is sent without data', async t => {
    for (const schema of [Type.Undefined(), Type.Unknown(), Type.Optional(Type.String()), Type.Union([Type.String(), Type.Undefined()])]) {
      const catalogue = make({ messages: { refresh: schema } })
      const timestamp = '2026-07-01T12:00:00.000Z'
      for (const message of [{ type: 'refresh', timestamp }, { type: 'refresh', timestamp, data: undefined }]) {
        t.equal(catalogue.encode(message).json, `{"type":"refresh","timestamp":"${timestamp}"}`)
      }
    }
    const catalogue = make({ messages: { nested: Type.Object({ a: Type.Unknown() }) } })
    t.throws(() => catalogue.encode({ type: 'nested', data: { a: undefined } }), { code: 'RT_ERR_INVALID_MESSAGE', message: /\/data\/a / }, 'JSON has no such property')
  })

  t.test('encode() of any data matches the schema, or throws an error with an RT_ERR code', async t => {
    const closed = Type.Object({ a: Type.Optional(Type.Unknown()) }, { additionalProperties: false })
    const record = Type.Record(Type.String(), Type.Union([Type.String(), Type.Null()]))
    const schemas = [order, Type.Array(Type.Number()), closed, record, Type.String(), Type.Unknown(), Type.Any()]
    const catalogues = schemas.map(schema => ({ schema, catalogue: make({ messages: { fuzzed: schema }, maxBytes: 20_000 }) }))
    let sent = 0
    fc.assert(fc.property(values, make => {
      const data = make()
      for (const { schema, catalogue } of catalogues) {
        try {
          const parsed = JSON.parse(catalogue.encode(any({ type: 'fuzzed', data })).json)
          if (!Value.Check(Type.Union([schema, Type.Undefined()]), parsed.data)) return false
          sent++
        } catch (error) {
          const { code } = error as { code?: string }
          if (code !== 'RT_ERR_INVALID_MESSAGE' && code !== 'RT_ERR_MESSAGE_TOO_LARGE') return false
        }
      }
      return true
    }), { numRuns: 2_000 })
    t.ok(sent > 1_000, `${sent} messages were sent`)
  })

  t.test('data is checked against the schemas of the common types and of the app', async t => {
    const catalogue = make({ messages: { order } })
    t.doesNotThrow(() => catalogue.encode({ type: 'order', data: { order_id: 5 } }))
    t.throws(() => catalogue.encode({ type: 'order', data: { order_id: 'five' } }), { code: 'RT_ERR_INVALID_MESSAGE', message: /order_id/ })
    t.throws(() => catalogue.encode({ type: 'order' }), { code: 'RT_ERR_INVALID_MESSAGE' })
    t.throws(() => catalogue.encode({ type: 'task_update', data: {} }), { code: 'RT_ERR_INVALID_MESSAGE' })
    t.throws(() => catalogue.encode({ type: 'system_announcement' }), { code: 'RT_ERR_INVALID_MESSAGE' })
  })

  t.test('a message of another type is accepted, and throws if strict is on', async t => {
    t.doesNotThrow(() => make().encode({ type: 'other', data: [1] }))
    const strict = make({ strict: true, messages: { order } })
    t.throws(() => strict.encode({ type: 'other' }), { code: 'RT_ERR_INVALID_MESSAGE', message: /'strict' is on .*'other'.*'messages'/ })
    t.doesNotThrow(() => strict.encode({ type: 'order', data: { order_id: 5 } }))
    t.doesNotThrow(() => strict.encode({ type: 'chat_message', data: { content: 'hi' } }))
    for (const type of ['toString', '__proto__', 'constructor']) t.throws(() => strict.encode({ type }), { code: 'RT_ERR_INVALID_MESSAGE' })
  })

  t.test('a message of a connection-level type throws RT_ERR_INVALID_MESSAGE', async t => {
    for (const type of controlTypes) {
      t.throws(() => make().encode({ type, data: {} }), { code: 'RT_ERR_INVALID_MESSAGE', message: new RegExp(`'${type}' is reserved for fastify-realtime`) })
    }
  })

  t.test('a value that JSON does not have throws an error with its path', async t => {
    const circular: Record<string, unknown> = {}
    circular.self = circular
    const wrong: Array<[unknown, RegExp]> = [
      [5n, /\/data is a BigInt/],
      [{ at: { deep: 1n } }, /\/data\/at\/deep is a BigInt/],
      [circular, /\/data\/self is an object that contains itself/],
      [() => 5, /\/data is a function/],
      [{ list: [1, { on: () => 5 }] }, /\/data\/list\/1\/on is a function/],
      [Symbol('s'), /\/data is a symbol/]
    ]
    for (const type of ['other', 'fuzzed', 'task_update']) {
      for (const [data, message] of wrong) {
        t.throws(() => make({ messages: { fuzzed: Type.Unknown() } }).encode(any({ type, data })), { code: 'RT_ERR_INVALID_MESSAGE', message })
      }
    }
    // eslint-disable-next-line no-throw-literal
    const throws = { toJSON () { throw 'a string' } }
    t.throws(() => make().encode({ type: 'other', data: throws }), { code: 'RT_ERR_INVALID_MESSAGE', message: /\(a string\)/ })
  })

  t.test('a message that throws any value when it is read throws RT_ERR_INVALID_MESSAGE', async t => {
    for (const thrown of [new Error('of the app'), null, Object.create(null), 'text']) {
      const messages = [
        { type: 'other', get data () { throw thrown } },
        { type: 'other', data: { toJSON () { throw thrown } } },
        new Proxy({}, { get () { throw thrown } })
      ]
      for (const message of messages) t.throws(() => make().encode(any(message)), { code: 'RT_ERR_INVALID_MESSAGE' })
    }
  })

  t.test('the maximum size counts bytes, not characters', async t => {
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

t.test('a message of a client that does not match its schema has a fault with the path', async t => {
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

t.test('a catalogue checks the schemas of the app', async t => {
  t.test('a schema with the name of a built-in type throws RT_ERR_OPTIONS', async t => {
    for (const type of [...controlTypes, 'notification', 'chat_message', 'task_update', 'system_announcement']) {
      t.throws(() => make({ messages: { [type]: order } }), { code: 'RT_ERR_OPTIONS', message: new RegExp(`'${type}'.*Choose another name`) })
    }
  })

  t.test('a schema that TypeBox cannot compile throws RT_ERR_OPTIONS', async t => {
    const wrong = [{ type: 'object' }, {}, Type.Ref('nowhere')] as TSchema[]
    for (const schema of wrong) {
      t.throws(() => make({ messages: { order: schema } }), { code: 'RT_ERR_OPTIONS', message: /'order' cannot be compiled .*@sinclair\/typebox 0\.34/ })
    }
  })

  t.test('a schema with a format that is not registered throws RT_ERR_OPTIONS', async t => {
    t.teardown(() => FormatRegistry.Delete('order-number'))
    const schema = Type.Object({ lines: Type.Array(Type.Object({ number: Type.String({ format: 'order-number' }) })) })
    t.throws(() => make({ messages: { order: schema } }), { code: 'RT_ERR_OPTIONS', message: /'order' uses the format 'order-number'.*FormatRegistry\.Set\('order-number'/ })
    FormatRegistry.Set('order-number', value => /^\d+$/.test(value))
    const catalogue = make({ messages: { order: schema } })
    t.doesNotThrow(() => catalogue.encode({ type: 'order', data: { lines: [{ number: '5' }] } }))
    t.throws(() => catalogue.encode({ type: 'order', data: { lines: [{ number: 'five' }] } }), { code: 'RT_ERR_INVALID_MESSAGE' })
    t.doesNotThrow(() => make({ messages: { at: Type.String({ format: 'date-time' }) } }))
  })

  t.test('a schema may contain any values, and itself', async t => {
    const schema: TSchema & { self?: unknown } = Type.Object({ format: Type.String({ default: { format: 'none' }, examples: [{ format: 'none' }] }), enum: Type.Const({ format: 'none' }) })
    schema.self = schema
    t.doesNotThrow(() => make({ messages: { order: schema } }))
    t.throws(() => make({ messages: { order: Type.Object({ default: Type.String({ format: 'none' }) }) } }), { message: /format 'none'/ }, 'a property with the name of a keyword is a schema')
  })

  t.test('a schema may have a property with the name format', async t => {
    const schema = Type.Object({ format: Type.String(), const: Type.Null() })
    t.doesNotThrow(() => make({ messages: { file: schema } }).encode({ type: 'file', data: { format: 'pdf', const: null } }))
  })

  t.test('a schema may be recursive, and may be a union', async t => {
    const tree = Type.Recursive(self => Type.Object({ children: Type.Array(self) }))
    const catalogue = make({ messages: { tree, either: Type.Union([Type.String(), Type.Null()]) } })
    t.doesNotThrow(() => catalogue.encode({ type: 'tree', data: { children: [{ children: [] }] } }))
    t.throws(() => catalogue.encode({ type: 'tree', data: { children: [{}] } }), { code: 'RT_ERR_INVALID_MESSAGE' })
    t.doesNotThrow(() => catalogue.encode({ type: 'either', data: null }))
  })
})

t.test('messages of a channel kind', async t => {
  const moved = Type.Object({ card: Type.String() })
  const messagesOfKinds = { board: { moved, order: Type.Object({ board: Type.Null() }) }, bare: {} }
  const of = (options: Partial<CatalogueOptions> = {}) => make({ messages: { order }, messagesOfKinds, ...options })
  const right: Array<[channel: string | undefined, type: string, data: unknown]> = [
    ['board:b1', 'moved', { card: 'c' }], ['board:b1', 'order', { board: null }], ['board:b1', 'notification', { title: 't' }], ['board:b1', 'other', 5],
    ['bare:b', 'order', { order_id: 5 }], ['bare:b', 'moved', 5], ['list:l', 'order', { order_id: 5 }], ['list:l', 'moved', 5], ['user:u', 'moved', 5],
    [undefined, 'order', { order_id: 5 }], [undefined, 'moved', 5]
  ]
  const wrong: Array<[channel: string | undefined, type: string, data: unknown]> = [
    ['board:b1', 'moved', { card: 5 }], ['board:b1', 'order', { order_id: 5 }], ['board:b1', 'notification', {}],
    ['bare:b', 'order', {}], ['list:l', 'order', {}], ['boards:b', 'order', { board: null }], [undefined, 'order', { board: null }]
  ]

  t.test('sent messages have the schemas of their channel, which come before the common ones', async t => {
    for (const [channel, type, data] of right) t.doesNotThrow(() => of().encode(any({ type, data }), channel), `${channel} ${type}`)
    for (const [channel, type, data] of wrong) t.throws(() => of().encode(any({ type, data }), channel), { code: 'RT_ERR_INVALID_MESSAGE' }, `${channel} ${type}`)
  })

  t.test('received messages have the schemas of the channel that they name', async t => {
    for (const [channel, type, data] of right) t.equal(of().inboundFault({ type, channel, data }), undefined, `${channel} ${type}`)
    for (const [channel, type, data] of wrong) t.match(of().inboundFault({ type, channel, data }), /^\/data/, `${channel} ${type}`)
  })

  t.test('strict refuses types that neither the kind nor the common messages have', async t => {
    const strict = of({ strict: true })
    t.doesNotThrow(() => strict.encode(any({ type: 'moved', data: { card: 'c' } }), 'board:b1'))
    t.throws(() => strict.encode(any({ type: 'moved', data: { card: 'c' } }), 'bare:b'), { message: /'strict' is on/ })
  })

  t.test('types of the plugin are reserved, those of the app are not, and the error names the option', async t => {
    for (const type of [...controlTypes, 'notification', 'chat_message', 'subscribe', 'presence']) {
      t.throws(() => of({ messagesOfKinds: { board: { [type]: moved } } }), { code: 'RT_ERR_OPTIONS', message: new RegExp(`channels\\.board\\.messages: '${type}' is reserved`) })
    }
    t.throws(() => of({ messagesOfKinds: { board: { bad: { type: 'x' } as never } } }), { code: 'RT_ERR_OPTIONS', message: /channels\.board\.messages: the schema of 'bad'/ })
  })
})

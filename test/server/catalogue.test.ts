import { FormatRegistry, Type, type TSchema } from '@sinclair/typebox'
import t from 'tap'
import { Catalogue } from '../../lib/server/catalogue.js'

const make = (messages: Record<string, TSchema> = {}, strict = false, maxBytes = 1_000) => new Catalogue({ messages, strict, maxBytes })
const order = Type.Object({ order_id: Type.String() })

t.test('what may be sent', async t => {
  const catalogue = make({ order_shipped: order })
  for (const message of [
    { type: 'notification', data: { title: 'x', more: 1 } }, { type: 'task_update', action: 'created', data: { task_id: 1 } },
    { type: 'chat_message', data: { content: 'x', agent: 'a' } }, { type: 'system_announcement', message: 'x' },
    { type: 'order_shipped', data: { order_id: 'a' } }, { type: 'anything', data: [1] }
  ]) {
    const { json, timestamp } = catalogue.encode(message)
    t.strictSame(JSON.parse(json), { ...message, timestamp })
    t.equal(new Date(timestamp).toISOString(), timestamp)
  }
  t.equal(catalogue.encode({ type: 'x', timestamp: '2026-01-01T00:00:00Z' }).timestamp, '2026-01-01T00:00:00Z')
})

t.test('what may not', async t => {
  const catalogue = make({ order_shipped: order })
  const loop: Record<string, unknown> = {}
  loop.loop = loop
  for (const message of [
    null, undefined, 'text', {}, { type: '' }, { type: 7 }, { type: 'notification', data: { titel: 'x' } }, { type: 'notification' },
    { type: 'system_announcement' }, { type: 'order_shipped', data: { order_id: 7 } }, { type: 'x', id: 'mine' }, { type: 'x', other: 1 },
    { type: 'x', timestamp: 'now' }, { type: 'connection_ack' }, { type: 'pong' }, { type: 'x', data: 1n }, { type: 'x', data: loop }
  ]) t.throws(() => catalogue.encode(message as { type: string }), { code: 'RT_ERR_INVALID_MESSAGE', statusCode: 400 })
  t.throws(() => catalogue.encode({ type: 'x', data: 'x'.repeat(1_000) }), { code: 'RT_ERR_MESSAGE_TOO_LARGE', statusCode: 413 })
  t.throws(() => catalogue.encode({ type: 'x', data: '😀'.repeat(240) }), { code: 'RT_ERR_MESSAGE_TOO_LARGE' })
  t.ok(catalogue.encode({ type: 'x', data: 'x'.repeat(900) }))
  t.throws(() => make({}, true).encode({ type: 'other' }), { code: 'RT_ERR_INVALID_MESSAGE', message: /strict/ })
})

t.test('schemas that cannot be used say so at once', async t => {
  t.throws(() => make({ ack: order }), { code: 'RT_ERR_OPTIONS', message: /'ack'/ })
  t.throws(() => make({ notification: order }), { code: 'RT_ERR_OPTIONS', message: /choose another name/ })
  t.throws(() => make({ mail: Type.Object({ to: Type.String({ format: 'no-such' }) }) }), { code: 'RT_ERR_OPTIONS', message: /FormatRegistry/ })
  t.throws(() => make({ broken: { nonsense: true } as unknown as TSchema }), { code: 'RT_ERR_OPTIONS', message: /compiled/ })
  FormatRegistry.Set('even', value => value.length % 2 === 0)
  t.ok(make({ even: Type.Object({ text: Type.String({ format: 'even' }) }) }))
})

t.test('a fault of a client has the path', async t => {
  t.match(make({ order_shipped: order }).inboundFault({ type: 'order_shipped', data: { order_id: 7 } }), /^\/data\/order_id .*string/)
})

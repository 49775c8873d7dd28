import { FormatRegistry, Type, type TSchema } from '@sinclair/typebox'
import { TypeCompiler } from '@sinclair/typebox/compiler'
import t from 'tap'
import '../../lib/server/messages/catalogue.js'
import { chatMessages } from '../../lib/protocol/chat.js'
import {
  commonMessages, ConnectionAck, controlTypes, ErrorData, Id, InboundMessage, Limits, messageSchema, Ref, Renewal, Renewed, reservedTypes,
  Resync, Timestamp
} from '../../lib/protocol/envelope.js'

/** Defines a test for a schema, with valid and invalid values. */
function checks (name: string, schema: TSchema, right: unknown[], wrong: unknown[]): void {
  t.test(`the schema of ${name} accepts valid values and rejects others`, async t => {
    const check = TypeCompiler.Compile(schema)
    for (const value of right) t.equal(check.Check(value), true, `right: ${JSON.stringify(value)?.slice(0, 80)}`)
    for (const value of wrong) t.equal(check.Check(value), false, `wrong: ${JSON.stringify(value)?.slice(0, 80)}`)
  })
}

t.test('the format of timestamps is known', async t => t.equal(FormatRegistry.Has('date-time'), true))

checks('Timestamp', Timestamp,
  ['2026-07-01T12:00:00Z', '2026-07-01T12:00:00.123Z', new Date().toISOString()],
  ['', 'now', '2026-07-01', '2026-07-01T12:00:00', '2026-07-01T12:00:00+02:00', '2026-13-01T12:00:00Z', '2026-07-01T25:00:00Z', 0, null, '2026-07-01T12:00:00Z\n'])

checks('Id', Id,
  ['a', 'user_123', 'A.b@c:d+e~f|g-h', '0', '...', 'x'.repeat(128)],
  ['', '.', '..', 'x'.repeat(129), 'a/b', 'a b', 'a%20b', 'ü', 'a\n', 'a*', 'a{b}', 'a,b', 5, null])

checks('Ref', Ref, ['a', 'x'.repeat(128), 0, -1, 7, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER],
  ['', 'x'.repeat(129), 1.5, null, {}, true, 2 ** 53, -(2 ** 53)])

const common: Record<Exclude<keyof typeof commonMessages, keyof typeof chatMessages>, { right: unknown[], wrong: unknown[] }> = {
  notification: {
    right: [{ title: 't' }, { title: 't', message: 'm', id: 'i' }, { title: 't', id: 5 }, { title: 't', more: [1] }],
    wrong: [{}, { title: 5 }, { title: 't', message: 5 }, { title: 't', id: null }, null, 'title', undefined]
  },
  task_update: {
    right: [{ task_id: 'abc123', title: 'New Task' }, { task_id: 1 }],
    wrong: [{}, { task_id: null }, { task_id: {} }, [], undefined]
  },
  system_announcement: { right: [undefined, null, { at: 5 }, 'x'], wrong: [] }
}
for (const type of Object.keys(common) as Array<keyof typeof common>) {
  checks(type, commonMessages[type], common[type].right, common[type].wrong)
}

t.test('the common messages contain those of chats, and no connection-level types', async t => {
  t.strictSame([...controlTypes], ['connection_ack', 'pong', 'ack', 'error', 'resync', 'renewed', 'subscribed', 'unsubscribed', 'presence'])
  t.strictSame([...reservedTypes], [...controlTypes, 'subscribe', 'unsubscribe'])
  for (const type of reservedTypes) t.notOk(Object.hasOwn(commonMessages, type))
  t.match(commonMessages, chatMessages, 'the messages of chats')
})

const ack = { user_id: 'u', connection_id: 'c', position: 'u.a.0,b.a.0', replayed: 0, heartbeat_ms: 25_000 }
checks('ConnectionAck', ConnectionAck,
  [ack, { ...ack, recovered: true }, { ...ack, recovered: false, replayed: 5 }, { ...ack, expires_in_ms: 0 }],
  [
    {}, { ...ack, user_id: 'a b' }, { ...ack, position: 5 }, { ...ack, recovered: 'yes' }, { ...ack, replayed: -1 }, { ...ack, replayed: 0.5 },
    { ...ack, heartbeat_ms: 0 }, { ...ack, expires_in_ms: -1 }, { ...ack, expires_in_ms: 0.5 }, { ...ack, expires_in_ms: null }
  ])

const limits = { frame: 1, rate: 1, burst: 1 }
checks('Limits', Limits, [limits, { ...limits, nodes: 1, channels: 1 }],
  [{}, ...['frame', 'rate', 'burst', 'nodes', 'channels'].flatMap(name => [0, 1.5, '1'].map(wrong => ({ ...limits, [name]: wrong })))])

checks('Resync', Resync, [{ position: 'u.a.5' }], [{}, { position: 5 }])
checks('Renewed', Renewed, [{}, { expires_in_ms: 0 }], [undefined, { expires_in_ms: -1 }, { expires_in_ms: '5' }])
checks('Renewal', Renewal, [{ token: 't' }], [undefined, null, {}, { token: '' }, { token: 5 }, 't'])
checks('ErrorData', ErrorData, [{ code: 'bad_json', message: 'm' }], [{}, { code: 'c' }, { code: 5, message: 'm' }])

const timestamp = '2026-07-01T12:00:00Z'
checks('a message of a known type', messageSchema('order', Type.Object({ n: Type.Number() })),
  [{ type: 'order', data: { n: 1 } }, { type: 'order', action: 'created', data: { n: 1 }, message: 'm', timestamp }],
  [
    {}, { type: 'order' }, { type: 'other', data: { n: 1 } }, { type: 'order', data: { n: 'one' } }, { type: 'order', data: { n: 1 }, id: 'u.a.1' },
    { type: 'order', data: { n: 1 }, extra: 1 }, { type: 'order', data: { n: 1 }, action: '' }, { type: 'order', data: { n: 1 }, message: 5 },
    { type: 'order', data: { n: 1 }, timestamp: 'now' }
  ])

checks('a message of any type', messageSchema(undefined, Type.Optional(Type.Unknown())),
  [{ type: 'a' }, { type: 'x'.repeat(128), data: [] }],
  [{}, { type: '' }, { type: 'x'.repeat(129) }, { type: 5 }, { type: 'a', to: 'u' }, null, undefined, 'a', []])

checks('system_announcement speaks through message', messageSchema('system_announcement', commonMessages.system_announcement),
  [{ type: 'system_announcement', message: 'm' }, { type: 'system_announcement', message: 'm', data: {} }],
  [{ type: 'system_announcement' }, { type: 'system_announcement', message: 5 }])

checks('InboundMessage', InboundMessage,
  [{ type: 'ping' }, { type: 'a', ref: 'r', id: 'i', action: 'b', data: null, message: 'm', timestamp }, { type: 'a', ref: 5 }, { type: 'a', channel: 'k:1' }],
  [
    {}, { type: '' }, { type: 'x'.repeat(129) }, { type: 'a', ref: '' }, { type: 'a', ref: {} }, { type: 'a', id: 'x'.repeat(129) }, { type: 'a', action: '' },
    { type: 'a', message: 5 }, { type: 'a', timestamp: 5 }, { type: 'a', to: 'b' }, { type: 'a', channel: '' },
    { type: 'a', channel: 'x'.repeat(601) }, { type: 'a', channel: 5 }, null, 5, 'a', [], [{ type: 'a' }]
  ])

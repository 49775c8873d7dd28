import t from 'tap'
import type { Inbound } from '../../../lib/index.js'
import type { Sender } from '../../../lib/server/inbound/message-row.js'
import { subscribeRows } from '../../../lib/server/subscribing/rows.js'
import { Kinds, type KindPresence } from '../../../lib/server/kinds.js'
import type { Subscribing } from '../../../lib/server/subscribing/subscribing.js'

function setup () {
  const calls: unknown[][] = []
  const presenceOfKind = { update: (...parameters: unknown[]) => { calls.push(['update', ...parameters]) } }
  const rows = subscribeRows({
    subscribe: async (...parameters: unknown[]) => { calls.push(['subscribe', ...parameters]) },
    unsubscribe: (...parameters: unknown[]) => { calls.push(['unsubscribe', ...parameters]) }
  } as unknown as Subscribing, new Kinds([
    { name: 'k', label: 'k', start: 'now', presence: presenceOfKind as unknown as KindPresence },
    { name: 'plain', label: 'k', start: 'now' }
  ]))
  return { calls, presence: rows.get('presence')!, subscribe: rows.get('subscribe')!, unsubscribe: rows.get('unsubscribe')!, types: [...rows.keys()] }
}

const message = (type: string, data?: unknown): Inbound => ({ type, ref: 'r', channel: 'k:of-the-frame', data })

t.test('subscribe and unsubscribe are split by channel, and each part is for its channel', async t => {
  const { calls, types, ...rows } = setup()
  t.strictSame(types, ['subscribe', 'unsubscribe', 'presence'])
  const parts = [
    ...rows.subscribe.split!(message('subscribe', { channels: [{ channel: 'k:1', since: 'k.e.1' }, { channel: 'k:2' }] })),
    ...rows.unsubscribe.split!(message('unsubscribe', { channels: ['k:1', 'k:3'] }))
  ]
  t.strictSame(parts.map(({ channel, message }) => [message.type, message.ref, message.channel, channel]), [
    ['subscribe', 'r', 'k:1', 'k:1'], ['subscribe', 'r', 'k:2', 'k:2'], ['unsubscribe', 'r', 'k:1', 'k:1'], ['unsubscribe', 'r', 'k:3', 'k:3']
  ])
  const connection = {}
  for (const { channel, message } of parts) {
    const { handle } = message.type === 'subscribe' ? rows.subscribe : rows.unsubscribe
    await handle(message, { connection, channel } as Sender, { bytes: 1, isRetry: false })
  }
  t.strictSame(calls, [
    ['subscribe', connection, 'k:1', 'k.e.1'], ['subscribe', connection, 'k:2', undefined],
    ['unsubscribe', connection, 'k:1'], ['unsubscribe', connection, 'k:3']
  ])
})

t.test('subscribe and unsubscribe are repeatable, and wait for earlier messages of their channels', async t => {
  const { subscribe, unsubscribe } = setup()
  for (const { onceKey, split } of [subscribe, unsubscribe]) t.strictSame([onceKey, typeof split], [undefined, 'function'])
})

t.test('data that is not a list of channels is bad_message', async t => {
  const { subscribe, unsubscribe } = setup()
  const wrong = [undefined, null, [], {}, ...[[], 'k:1', [''], [5], ['x'.repeat(601)]].map(channels => ({ channels }))]
  const channels = [['k:1'], [{ channel: 'k:1', since: 5 }], [{ channel: 'k:1', at: 5 }], [{}]]
  for (const data of [...wrong, ...channels.map(channels => ({ channels }))]) {
    t.throws(() => subscribe.split!(message('subscribe', data)), { code: 'bad_message' }, JSON.stringify(data))
  }
  for (const data of [...wrong, { channels: [{ channel: 'k:1' }] }, { channels: ['k:1'], all: true }]) {
    t.throws(() => unsubscribe.split!(message('unsubscribe', data)), { code: 'bad_message' }, JSON.stringify(data))
  }
})

t.test('presence goes to the presence of the kind, and without one gets no_presence', async t => {
  const { calls, presence } = setup()
  const connection = {}
  const handle = (channel: string) => presence.handle(message('presence', 5), { connection, channel } as Sender, { bytes: 1, isRetry: false })
  await handle('k:1')
  t.strictSame([calls, presence.onceKey], [[['update', connection, 'k:1', 5]], undefined])
  t.throws(() => handle('plain:1'), { code: 'no_presence' })
})

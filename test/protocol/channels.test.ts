import { Value } from '@sinclair/typebox/value'
import type { TSchema } from '@sinclair/typebox'
import t from 'tap'
import {
  ChannelName, maxChannelLength, splitChannel, Subscribe, Subscribed, Unsubscribe, Unsubscribed, unsubscribedReasons
} from '../../lib/protocol/channels.js'

t.test('the name of a channel is split at its first colon, and that of a kind with one channel has none', async t => {
  t.strictSame(splitChannel('board:b1'), { kind: 'board', id: 'b1' })
  t.strictSame(splitChannel('board:a:b'), { kind: 'board', id: 'a:b' })
  t.strictSame(splitChannel('chat:w/a/c/u:1'), { kind: 'chat', id: 'w/a/c/u:1' })
  t.strictSame(splitChannel('board:'), { kind: 'board', id: '' })
  t.strictSame(splitChannel('broadcast'), { kind: 'broadcast', id: undefined })
})

const longest = 'x'.repeat(maxChannelLength)
const since = 'k.x7.12'
const rows: Array<[name: string, schema: TSchema, right: unknown[], wrong: unknown[]]> = [
  ['ChannelName', ChannelName, ['b', 'board:b1', longest], ['', `${longest}x`, 5, null]],
  ['Subscribe', Subscribe,
    [{ channels: [{ channel: 'board:b1' }] }, { channels: [{ channel: 'board:b1', since }, { channel: longest, since: 'x'.repeat(128) }] }],
    [
      undefined, null, [], {}, { channels: [] }, { channels: ['board:b1'] }, { channels: [{}] }, { channels: [{ channel: '' }] },
      { channels: [{ channel: 'b', since: '' }] }, { channels: [{ channel: 'b', since: 'x'.repeat(129) }] }, { channels: [{ channel: 'b', more: 1 }] },
      { channels: [{ channel: 'b' }], more: 1 }
    ]],
  ['Unsubscribe', Unsubscribe, [{ channels: ['board:b1', longest] }],
    [undefined, {}, { channels: [] }, { channels: [{ channel: 'b' }] }, { channels: [''] }, { channels: ['b'], more: 1 }]],
  ['Subscribed', Subscribed, [{ position: since, replayed: 0 }, { position: since, recovered: false, replayed: 5 }],
    [
      {}, { position: since }, { position: since, replayed: -1 }, { position: since, replayed: 0.5 },
      { position: since, replayed: 0, recovered: null }
    ]],
  ['Unsubscribed', Unsubscribed, Object.keys(unsubscribedReasons).map(reason => ({ reason })), [{}, { reason: 'other' }, { reason: 5 }]]
]

for (const [name, schema, right, wrong] of rows) {
  t.test(`the schema of ${name} accepts valid values and rejects others`, async t => {
    for (const value of right) t.equal(Value.Check(schema, value), true, `right: ${JSON.stringify(value).slice(0, 80)}`)
    for (const value of wrong) t.equal(Value.Check(schema, value), false, `wrong: ${JSON.stringify(value)?.slice(0, 80)}`)
  })
}

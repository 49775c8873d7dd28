import t from 'tap'
import { applied } from '../../../lib/client/channels/roster.js'
import { cursors } from '../../../lib/client/cursors.js'
import { parse } from '../../../lib/client/frame.js'
import { sharedChannels } from '../../../lib/client/sharing/shared-channels.js'

const channel = 'board:b1'
const members = [{ user_id: 'ada', connections: [{ id: 'a1' }] }]

/** The channels of a leader, with the frames that it sends to the server and to its tabs. */
function make () {
  const sent: Array<{ type: string }> = []
  const answers: Record<string, Array<{ type: string, data: unknown }>> = {}
  const channels = sharedChannels(
    { parse, cursors, applied },
    frame => sent.push(JSON.parse(frame)),
    (id, frames) => { (answers[id] ??= []).push(...frames.map(frame => JSON.parse(frame))) }
  )
  const say = (id: string, type: string, more: object) => channels.say(JSON.stringify({ type, ...more }), id)
  return {
    answers,
    channels,
    /** Frames to the server since the last call. */
    sent: () => sent.splice(0),
    subscribe: (id: string, since?: string) => say(id, 'subscribe', { data: { channels: [{ channel, since }] } }),
    unsubscribe: (id: string) => say(id, 'unsubscribe', { data: { channels: [channel] } }),
    update: (id: string, data?: unknown) => say(id, 'presence', { channel, ref: `${id}.1`, data }),
    hear: (type: string, data: object) => channels.hear({ type, channel, data, timestamp: '' }, JSON.stringify({ type, channel, data }))
  }
}

t.test('a tab that subscribes later gets the state of the presence, as far as it is known', async t => {
  const { subscribe, hear, answers } = make()
  subscribe('one')
  hear('subscribed', { position: 'k.e.0', replayed: 0 })
  subscribe('two')
  t.strictSame(answers.two.map(({ type }) => type), ['subscribed'])
  t.equal(hear('presence', { count: 1, members }), undefined, 'all tabs get it')
  hear('presence', { count: 2, joined: [{ user_id: 'bob', connections: [{ id: 'b1' }] }], stale: true })
  subscribe('three')
  t.match(answers.three, [
    { type: 'subscribed', channel },
    { type: 'presence', channel, data: { count: 2, members: [...members, { user_id: 'bob', connections: [{ id: 'b1' }] }], stale: true } }
  ])
})

t.test('the data of a tab that leaves is replaced by that of another tab, or removed', async t => {
  const { subscribe, unsubscribe, update, hear, sent, channels } = make()
  for (const id of ['one', 'two', 'three']) subscribe(id)
  hear('subscribed', { position: 'k.e.0', replayed: 0 })
  sent()
  t.equal(update('one', 1), false, 'the frame goes to the server')
  update('two', 2)
  update('one', 3)
  t.equal(update('stranger', 4), false)
  unsubscribe('one')
  t.match(sent(), [{ type: 'presence', channel, data: 2 }])
  channels.leave('two')
  const [cleared, ...rest] = sent()
  t.strictSame([cleared, rest], [{ type: 'presence', channel }, []])
  unsubscribe('three')
  t.match(sent(), [{ type: 'unsubscribe' }])
  unsubscribe('three')
  t.strictSame(sent(), [])
})

t.test('a tab without data that leaves changes nothing', async t => {
  const { subscribe, unsubscribe, hear, sent } = make()
  for (const id of ['one', 'two']) subscribe(id)
  hear('subscribed', { position: 'k.e.0', replayed: 0 })
  sent()
  unsubscribe('two')
  t.strictSame(sent(), [])
})

t.test('a channel that is read again for one tab keeps the data', async t => {
  const { subscribe, update, hear, sent } = make()
  subscribe('one')
  hear('subscribed', { position: 'k.e.5', replayed: 0 })
  update('one', 1)
  update('one', 2)
  sent()
  subscribe('two', 'k.e.1')
  t.match(sent(), [{ type: 'unsubscribe' }, { type: 'subscribe' }])
  hear('unsubscribed', { reason: 'asked' })
  hear('subscribed', { position: 'k.e.1', recovered: true, replayed: 0 })
  t.match(sent(), [{ type: 'presence', channel, data: 2 }])
})

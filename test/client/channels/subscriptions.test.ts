import t from 'tap'
import type { Backoff } from '../../../lib/client/backoff.js'
import { subscriptions } from '../../../lib/client/channels/subscriptions.js'
import type { RealtimeError } from '../../../lib/client/error.js'
import { leaks } from '../../leaks.js'
import { eventually } from '../../waiting.js'

const limits = { frame: 65_536, rate: 20, burst: 40, nodes: 1_000, channels: 100 }

function make (t: { teardown (action: () => void): void }, backoff: Backoff = () => 1_000) {
  const errors: RealtimeError[] = []
  const ended: string[] = []
  const updates: unknown[] = []
  const all = subscriptions({ backoff }, {
    send: async (_type, data, options) => updates.push([options!.channel, data]),
    run () {},
    refuse: name => ended.push(name),
    has: ref => ref === 'own'
  }, error => errors.push(error as RealtimeError))
  t.teardown(() => all.stop('closed', { code: 1000, reason: '', name: 'NORMAL' }))
  /** All frames that are to be sent. */
  const frames = () => {
    const sent = []
    for (let frame = all.next(); frame !== undefined; frame = all.next()) sent.push(JSON.parse(frame))
    return sent
  }
  const receive = (type: string, channel: string, data?: unknown, more: object = {}) => all.receive({ type, channel, data, timestamp: '', ...more })
  return { all, frames, receive, errors, ended, updates }
}

t.test('channels are subscribed and unsubscribed in as few frames as the limits of the server allow', async t => {
  const nodesOf = (value: unknown): number => {
    return value instanceof Object ? Object.values(value).reduce((sum: number, part) => sum + nodesOf(part), 1) : 1
  }
  const idOf = (n: number, length: number) => `${n}`.padEnd(length, 'x')
  for (const [of, count, length, given, expected] of [
    ['usual names', 100, 36, {}, 1],
    ['more channels than a frame may name', 150, 36, {}, 2],
    ['names of the maximum length', 100, 595, {}, 2],
    ['few values in a frame', 10, 36, { nodes: 20 }, 2],
    ['the least values that have room for a channel', 3, 36, { nodes: 7 }, 3],
    ['a small frame', 10, 36, { frame: 500 }, 4],
    ['a frame that may be too small for any channel', 2, 36, { frame: 120 }, 2],
    ['a server that does not limit the values', 100, 36, { nodes: undefined }, 1]
  ] as const) {
    const { all, frames } = make(t)
    const readers = Array.from({ length: count }, (_, n) => all.read(`board:${idOf(n, length)}`, `k.epoch678.${'9'.repeat(16)}`))
    t.strictSame(frames(), [], 'not connected')
    const { frame, nodes = Infinity } = { ...limits, ...given }
    all.start({ ...limits, ...given } as typeof limits)
    const subscribes = frames()
    for (const reader of readers) reader.close(0)
    await eventually(() => readers.every(({ name }) => all.isReady(name) === undefined))
    const unsubscribes = frames()
    for (const [type, sent] of Object.entries({ subscribe: subscribes, unsubscribe: unsubscribes })) {
      t.ok(sent.length <= expected, `${of}: ${sent.length} frames of ${type}`)
      for (const one of sent) {
        t.equal(one.type, type)
        t.ok(JSON.stringify(one).length <= Math.max(frame, 150) && nodesOf(one) <= nodes && one.data.channels.length <= 100, 'the server accepts it')
      }
      const names = sent.flatMap(({ data }) => data.channels.map((one: string | { channel: string }) => typeof one === 'string' ? one : one.channel))
      t.strictSame(names, readers.map(({ name }) => name), `${of}: each once, in order`)
    }
  }
})

t.test('a backoff that throws is reported, and the channel is tried again after the default delay', async t => {
  const failure = new Error('no backoff')
  const { all, frames, receive, errors } = make(t, () => { throw failure })
  const channel = all.read('board:b1')
  all.start(limits)
  frames()
  receive('unsubscribed', 'board:b1', { reason: 'unavailable' })
  t.strictSame([channel.status, errors], ['waiting', [failure]])
  await eventually(() => channel.status === 'connecting')
  t.match(frames(), [{ type: 'subscribe', data: { channels: [{ channel: 'board:b1' }] } }])
})

t.test('the delays between the attempts to subscribe grow, until the channel is open', async t => {
  const attempts: number[] = []
  const { all, frames, receive } = make(t, attempt => { attempts.push(attempt); return 0 })
  const channel = all.read('board:b1')
  all.start(limits)
  for (const outcome of ['unavailable', 'unavailable', 'unavailable', undefined, 'unavailable']) {
    await eventually(() => channel.status === 'connecting')
    frames()
    if (outcome === undefined) {
      receive('subscribed', 'board:b1', { position: 'k.e.1', replayed: 0 })
      all.stop('waiting', undefined)
      all.start(limits)
    } else receive('unsubscribed', 'board:b1', { reason: outcome })
  }
  t.strictSame(attempts, [0, 1, 2, 0])
})

t.test('a server without channels gets no subscribe, and the client reports it', async t => {
  const { all, frames, errors } = make(t)
  all.read('board:b1')
  all.read('board:b2').close()
  all.start({ frame: 65_536, rate: 20, burst: 40 })
  t.strictSame(frames(), [])
  t.match(errors, [{ code: 'unavailable', message: 'board:b1: this server has no channels' }])
  t.equal(errors.length, 1)
})

t.test('frames of a channel count only while it is subscribed, and those of other channels are not for it', async t => {
  const { all, frames, receive } = make(t)
  const got: unknown[] = []
  const channel = all.read('board:b1')
  channel.listeners.add('*', ({ data }) => got.push(data))
  all.start(limits)
  frames()
  t.equal(receive('n', 'board:b2', 0, { id: 'k.e.1' }), false)
  t.equal(receive('n', 'board:b1', 'too early', { id: 'k.e.1' }), true)
  receive('subscribed', 'board:b1', { position: 'k.e.1', replayed: 0 })
  receive('n', 'board:b1', 2, { id: 'k.e.2' })
  receive('n', 'board:b1', 'again', { id: 'k.e.2' })
  receive('page', 'board:b1', 'of another tab', { ref: 'other' })
  receive('page', 'board:b1', 'own', { ref: 'own' })
  receive('unsubscribed', 'board:b1', { reason: 'asked' })
  receive('subscribed', 'board:b1', { position: 'k.e.0', replayed: 0 })
  receive('n', 'board:b1', 'read before', { id: 'k.e.1' })
  t.strictSame(got, [2, 'own'])
  t.equal(channel.since, 'k.e.2')
})

t.test('a final reason closes the channel until it is opened again, and another one is tried again', async t => {
  const { all, frames, receive, errors, ended } = make(t)
  const channel = all.read('board:b1')
  all.start(limits)
  frames()
  receive('unsubscribed', 'board:b1', { reason: 'unavailable' })
  t.equal(channel.status, 'waiting')
  t.equal(all.isReady('board:b1'), false)
  all.stop('waiting', undefined)
  all.start(limits)
  t.match(frames(), [{ type: 'subscribe' }])
  receive('unsubscribed', 'board:b1', { reason: 'forbidden' })
  t.match(channel.closed, { code: 4403, reason: 'forbidden' })
  t.equal(all.isReady('board:b1'), undefined)
  t.match(errors, [{ code: 'forbidden', message: 'board:b1: forbidden' }])
  t.strictSame(ended, ['board:b1'])
  all.stop('waiting', undefined)
  all.start(limits)
  t.strictSame(frames(), [])
  channel.reopen()
  t.match(frames(), [{ type: 'subscribe', data: { channels: [{ channel: 'board:b1' }] } }])
})

t.test('a channel without readers is not tried again', async t => {
  const { all, frames, receive } = make(t)
  const channel = all.read('board:b1')
  all.start(limits)
  frames()
  receive('unsubscribed', 'board:b1', { reason: 'unavailable' })
  t.match(leaks(), [/subscriptions/], 'it waits for the next attempt')
  channel.close(0)
  await eventually(() => all.isReady('board:b1') === undefined)
  t.strictSame(leaks(), [])
})

t.test('a channel beyond the limit is reported once, and tried again', async t => {
  const { all, frames, receive, errors } = make(t)
  const channel = all.read('board:b1')
  all.start(limits)
  for (let times = 0; times < 3; times++) {
    frames()
    receive('unsubscribed', 'board:b1', { reason: 'too_many_channels' })
    t.equal(channel.status, 'waiting')
    channel.reopen()
    all.stop('waiting', undefined)
    all.start(limits)
  }
  t.match(errors, [{ code: 'too_many_channels' }])
  t.equal(errors.length, 1)
})

t.test('of several subscribes to a channel only the last answer counts', async t => {
  const { all, frames, receive } = make(t)
  const channel = all.read('board:b1', 'k.e.3')
  all.start(limits)
  frames()
  const earlier = all.read('board:b1', 'k.e.1')
  t.match(frames(), [{ type: 'unsubscribe' }, { type: 'subscribe', data: { channels: [{ since: 'k.e.1' }] } }])
  receive('subscribed', 'board:b1', { position: 'k.e.3', recovered: true, replayed: 0 })
  t.equal(channel.status, 'connecting')
  receive('unsubscribed', 'board:b1', { reason: 'asked' })
  receive('subscribed', 'board:b1', { position: 'k.e.1', recovered: true, replayed: 2 })
  t.strictSame([channel.status, channel.since, earlier.since], ['open', 'k.e.3', 'k.e.1'])
})

t.test('a reader that was closed reads on from its position, and the others get nothing twice', async t => {
  const { all, frames, receive } = make(t)
  const got: Record<string, unknown[]> = { app: [], component: [] }
  const [app, component] = Object.keys(got).map(name => {
    const reader = all.read('board:b1')
    reader.listeners.add('n', data => got[name].push(data))
    reader.listeners.add(' resume', resume => got[name].push(resume))
    return reader
  })
  all.start(limits)
  frames()
  receive('subscribed', 'board:b1', { position: 'k.e.0', replayed: 0 })
  receive('n', 'board:b1', 1, { id: 'k.e.1' })
  component.close()
  component.close()
  t.strictSame([component.status, component.closed?.code, app.status], ['closed', 1000, 'open'])
  receive('n', 'board:b1', 2, { id: 'k.e.2' })
  component.reopen()
  t.match(frames(), [{ type: 'unsubscribe' }, { type: 'subscribe', data: { channels: [{ since: 'k.e.1' }] } }])
  receive('unsubscribed', 'board:b1', { reason: 'asked' })
  receive('subscribed', 'board:b1', { position: 'k.e.1', recovered: true, replayed: 1 })
  receive('n', 'board:b1', 2, { id: 'k.e.2' })
  receive('n', 'board:b1', 3, { id: 'k.e.3' })
  t.strictSame(got, { app: [1, 2, { recovered: true }, 3], component: [1, { recovered: true }, 2, 3] })
})

t.test('after a loss only the readers that missed something get recovered: false', async t => {
  const { all, frames, receive } = make(t)
  const resumes: unknown[] = []
  const readers = ['k.e.3', 'k.e.9'].map(since => all.read('board:b1', since))
  for (const reader of readers) reader.listeners.add(' resume', ({ recovered }) => resumes.push([reader.since, recovered]))
  all.start(limits)
  t.match(frames().at(-1), { data: { channels: [{ since: 'k.e.3' }] } }, 'from the reader that is furthest behind')
  receive('subscribed', 'board:b1', { position: 'k.e.9', recovered: false, replayed: 0 })
  t.strictSame(resumes, [['k.e.9', false], ['k.e.9', true]])
})

t.test('a new reader of a chat makes the server send it again, and all readers get these frames: they may have newer text', async t => {
  const { all, frames, receive } = make(t)
  const got: unknown[] = []
  const chat = all.read('chat:w/a/c/u', '')
  chat.on('chat_message', data => got.push(data))
  all.start(limits)
  frames()
  receive('subscribed', 'chat:w/a/c/u', { position: 'c.e.0', replayed: 0 })
  receive('chat_message', 'chat:w/a/c/u', 'so far', { id: 'c.e.5' })
  const other = all.read('chat:w/a/c/u', '')
  other.on('chat_message', data => got.push(['other', data]))
  t.match(frames(), [{ type: 'unsubscribe' }, { type: 'subscribe' }])
  receive('unsubscribed', 'chat:w/a/c/u', { reason: 'asked' })
  receive('subscribed', 'chat:w/a/c/u', { position: 'c.e.0', replayed: 1 })
  receive('chat_message', 'chat:w/a/c/u', 'so far, and more', { id: 'c.e.2' })
  t.strictSame(got, ['so far', 'so far, and more', ['other', 'so far, and more']])
  t.strictSame([chat.since, other.since], ['c.e.5', 'c.e.2'])
})

t.test('a channel that is opened at another position is subscribed again from there', async t => {
  const { all, frames, receive } = make(t)
  all.read('chat:w/a/c/u')
  all.start(limits)
  frames()
  receive('subscribed', 'chat:w/a/c/u', { position: 'c.e.5', replayed: 0 })
  all.read('chat:w/a/c/u', 'c.e.5')
  t.strictSame(frames(), [])
  all.read('chat:w/a/c/u', '')
  t.match(frames(), [{ type: 'unsubscribe', data: { channels: ['chat:w/a/c/u'] } }, { type: 'subscribe', data: { channels: [{ channel: 'chat:w/a/c/u' }] } }])
})

t.test('a subscribed that crosses the end of a channel opens it, or unsubscribes if the end is final', async t => {
  const { all, frames, receive } = make(t)
  const channel = all.read('board:b1')
  all.start(limits)
  frames()
  receive('unsubscribed', 'board:b1', { reason: 'unavailable' })
  receive('subscribed', 'board:b1', { position: 'k.e.1', replayed: 0 })
  t.strictSame([channel.status, channel.since, frames()], ['open', 'k.e.1', []])
  receive('unsubscribed', 'board:b1', { reason: 'removed' })
  receive('subscribed', 'board:b1', { position: 'k.e.2', replayed: 0 })
  t.equal(channel.status, 'closed')
  t.match(frames(), [{ type: 'unsubscribe', data: { channels: ['board:b1'] } }])
})

t.test('frames that the server dropped because they came too fast are sent again', async t => {
  const { all, frames } = make(t)
  all.read('board:b1')
  all.start(limits)
  t.equal(frames().length, 1)
  all.again()
  // The subscribe may have arrived: then the server would read on instead of reading again.
  t.match(frames(), [{ type: 'unsubscribe' }, { type: 'subscribe' }])
})

t.test('presence is shared by the readers of a channel, is no message, and its data is sent with each subscription', async t => {
  const { all, frames, receive, updates } = make(t)
  const got: unknown[] = []
  const reader = all.read('board:b1')
  reader.listeners.add('*', ({ type }) => got.push(type))
  reader.presence.update('x')
  all.start(limits)
  frames()
  const members = [{ user_id: 'ada', connections: [{ id: 'a1' }] }]
  receive('presence', 'board:b1', { count: 1, members })
  t.equal(reader.presence.count, 0, 'not subscribed yet')
  t.strictSame(updates, [])
  receive('subscribed', 'board:b1', { position: 'k.e.0', replayed: 0 })
  t.strictSame(updates, [['board:b1', 'x']])
  const changes = [0, 0]
  const other = all.read('board:b1')
  for (const [n, { presence }] of [reader, other].entries()) presence.subscribe(() => changes[n]++)
  receive('presence', 'board:b1', { count: 1, members })
  await eventually(() => other.presence.count === 1)
  t.equal(all.read('board:b1').presence.snapshot(), other.presence.snapshot())
  t.strictSame(changes, [1, 1])
  t.strictSame(got, [])
  all.stop('waiting', undefined)
  t.match(reader.presence.snapshot(), { count: 1, isStale: true })
})

t.test('a reader that is closed shows nobody, and its data is sent again when it is opened again', async t => {
  const { all, frames, receive, updates } = make(t)
  const [reader, other] = [all.read('board:b1'), all.read('board:b1')]
  const subscribed = () => {
    frames()
    receive('subscribed', 'board:b1', { position: 'k.e.0', replayed: 0 })
    receive('presence', 'board:b1', { count: 1, members: [{ user_id: 'ada', connections: [{ id: 'a1' }] }] })
  }
  all.start(limits)
  subscribed()
  reader.presence.update('x')
  let changes = 0
  reader.presence.subscribe(() => { changes++ })
  reader.close(5_000)
  t.strictSame(reader.presence.snapshot(), { members: [], count: 0, isStale: true })
  receive('presence', 'board:b1', { count: 2, joined: [{ user_id: 'bob', connections: [{ id: 'b1' }] }] })
  await eventually(() => other.presence.count === 2)
  other.close()
  t.equal(changes, 0)
  reader.reopen()
  t.match(reader.presence, { count: 2, isStale: false }, 'the channel was open all along')
  t.strictSame(updates, [['board:b1', 'x']])
  all.stop('closed', { code: 1000, reason: '', name: 'NORMAL' })
  reader.close()
  all.stop('closed', { code: 1000, reason: '', name: 'NORMAL' })
  reader.reopen()
  all.start(limits)
  subscribed()
  t.strictSame(updates, [['board:b1', 'x'], ['board:b1', 'x']])
  await eventually(() => reader.presence.count === 1)
})

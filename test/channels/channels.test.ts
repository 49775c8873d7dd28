import { Type } from '@sinclair/typebox'
import t from 'tap'
import { defineChannel, type Envelope } from '../../lib/index.js'
import { as, authenticateByHeader, connect, start, type Client } from '../harness.js'
import { eventually, gate } from '../waiting.js'
import { found } from '../every.js'

const board = defineChannel({
  authorize: ({ userId }, { id }) => id.startsWith('open') || id === userId,
  messages: { card_moved: Type.Object({ card: Type.String() }), move_card: Type.Object({ card: Type.String() }) },
  answers: { move_card: Type.Object({ version: Type.Integer() }) },
  onMessage: {
    async move_card ({ data }, { channel, connection }) {
      await channel.send({ type: 'card_moved', data: { ...data, by: connection.userId } })
      return { version: 7, secret: 'not in the schema' }
    }
  }
})

const path = '/ws/notifications/ada'

function subscribe (client: Client, ...channels: Array<string | { channel: string, since: string }>): void {
  client.send({ type: 'subscribe', ref: 'sub', data: { channels: channels.map(channel => typeof channel === 'string' ? { channel } : channel) } })
}

/** Frames of a type so far. */
const all = (client: Client, type: string) => client.received.filter(envelope => envelope.type === type)

t.test('a connection subscribes to channels of the app, gets their messages with the channel, and resumes', async t => {
  const { app, url } = await start(t, { channels: { board } })
  const client = await connect(t, url + path)
  t.match(client.ack.data, { limits: { channels: 100 } })
  subscribe(client, 'board:open1', 'board:open2')
  t.match(await client.next('subscribed'), { channel: 'board:open1', data: { position: /^k\.\w+\.0$/, replayed: 0 } })
  t.match(await client.next('subscribed'), { channel: 'board:open2' })
  t.match(await client.next('ack'), { ref: 'sub' })
  const receipt = await app.ws.channel('board', 'open1').send({ type: 'card_moved', data: { card: 'c1' } })
  const got = await client.next('card_moved')
  t.match(got, { channel: 'board:open1', id: receipt.id, data: { card: 'c1' } })
  client.socket.terminate()
  for (const card of ['c2', 'c3']) await app.ws.channel('board', 'open1').send({ type: 'card_moved', data: { card } })

  const again = await connect(t, url + path)
  subscribe(again, { channel: 'board:open1', since: got.id! })
  t.match(await again.next('subscribed'), { channel: 'board:open1', data: { position: got.id, recovered: true, replayed: 2 } })
  t.match([await again.next('card_moved'), await again.next('card_moved')].map(({ data }) => data), [{ card: 'c2' }, { card: 'c3' }])
  again.send({ type: 'unsubscribe', ref: 1, data: { channels: ['board:open1'] } })
  t.match(await again.next('unsubscribed'), { channel: 'board:open1', data: { reason: 'asked' } })
  t.match(await again.next('ack'), { ref: 1 })
  await app.ws.channel('board', 'open1').send({ type: 'card_moved', data: { card: 'c4' } })
  await app.ws.sendToUser('ada', { type: 'last' })
  await again.next('last')
  t.equal(all(again, 'card_moved').length, 2)
})

t.test('a channel that the user may not have, that does not exist or has a wrong id is answered with the reason', async t => {
  const { url } = await start(t, { channels: { board } })
  const client = await connect(t, url + path)
  const reasons: Record<string, string> = {
    'board:bob': 'forbidden',
    'boards:b1': 'unknown_channel',
    'board:a b': 'invalid_channel',
    board: 'invalid_channel',
    'user:bob': 'forbidden',
    broadcast: '',
    'user:ada': '',
    'chat:w/a/c/ada': '',
    'chat:w/a/c/bob': 'forbidden',
    'chat:w/a/c': 'invalid_channel',
    'board:ada': ''
  }
  for (const [channel, reason] of Object.entries(reasons)) {
    subscribe(client, channel)
    const frame = await client.until(() => client.received.find(envelope => envelope.channel === channel))
    t.match(frame, reason === '' ? { type: 'subscribed' } : { type: 'unsubscribed', data: { reason } }, channel)
  }
})

t.test('a message to a channel is handled once, and answered with what the schema of the answer allows', async t => {
  const { url } = await start(t, { channels: { board } })
  const client = await connect(t, url + path)
  client.send({ type: 'move_card', channel: 'board:open', ref: 'a', data: { card: 'c1' } })
  t.match(await client.next('error'), { ref: 'a', data: { code: 'not_subscribed' } })
  subscribe(client, 'board:open')
  for (let times = 0; times < 2; times++) {
    client.send({ type: 'move_card', channel: 'board:open', ref: 'b', data: { card: 'c1' } })
    await client.until(() => client.received.filter(({ ref }) => ref === 'b').length > times)
  }
  const answers = client.received.filter(({ ref }) => ref === 'b')
  t.strictSame(answers.map(({ type, data }) => [type, data]), [1, 2].map(() => ['ack', { version: 7 }]))
  t.equal(all(client, 'card_moved').length, 1)
  client.send({ type: 'move_card', channel: 'board:open', ref: 'c', data: { card: 5 } })
  t.match(await client.next('error'), { ref: 'c', data: { code: 'bad_message' } })
  client.send({ type: 'move_card', ref: 'd', data: { card: 'x' } })
  t.match(await client.next('error'), { ref: 'd', data: { code: 'unknown_type' } })
})

t.test('nothing that is published after remove() resolved reaches the user, and the others get it', async t => {
  const { app, url } = await start(t, { channels: { board } })
  const [ada, bob] = await Promise.all(['ada', 'bob'].map(user => connect(t, `${url}/ws/notifications/${user}`)))
  for (const client of [ada, bob]) {
    subscribe(client, 'board:open')
    await client.next('subscribed')
  }
  const channel = app.ws.channel('board', 'open')
  await channel.send({ type: 'card_moved', data: { card: 'before' } })
  await channel.remove('ada')
  await channel.send({ type: 'card_moved', data: { card: 'after' } })
  t.match(await ada.next('card_moved'), { data: { card: 'before' } })
  t.match(await ada.next('unsubscribed'), { channel: 'board:open', data: { reason: 'removed' } })
  await eventually(() => all(bob, 'card_moved').length === 2)
  t.strictSame(found(bob.received, ({ type, data }) => type === 'unsubscribed' || (data as { user_id?: string } | undefined)?.user_id === 'ada'), [])
  subscribe(ada, 'board:open')
  t.match(await ada.next('subscribed'), { data: { replayed: 0 } })
  t.equal(all(ada, 'card_moved').length, 1)
})

t.test('authorize: false and undefined are final, a throw and a timeout are unavailable, and no user waits for another', async t => {
  const never = new Promise<boolean>(() => {})
  const verdicts: Record<string, () => boolean | undefined | Promise<boolean>> = {
    yes: () => true,
    no: () => false,
    nothing: () => undefined,
    throws: () => { throw new Error('secret') },
    hangs: () => never,
    slow: () => new Promise(resolve => setTimeout(resolve, 50, true)) // A slow query.
  }
  const { url } = await start(t, {
    authenticate: authenticateByHeader,
    timeouts: { authenticate: 300 },
    channels: { room: defineChannel({ authorize: (_identity, { id }) => verdicts[id]() }) }
  })
  const ada = await connect(t, `${url}/ws/notifications/ada`, as('ada'))
  subscribe(ada, ...Object.keys(verdicts).map(id => `room:${id}`))
  await ada.next('ack')
  const outcomes = Object.fromEntries(ada.received.filter(({ channel }) => channel !== undefined).map(({ channel, type, data }) =>
    [channel!.slice(5), (data as { reason?: string }).reason ?? type]))
  t.strictSame(outcomes, { yes: 'subscribed', no: 'forbidden', nothing: 'forbidden', throws: 'unavailable', hangs: 'unavailable', slow: 'subscribed' })
})

t.test('authorizeAll decides about all channels of a frame at once', async t => {
  const asked: string[][] = []
  const room = defineChannel({
    authorize: () => { throw new Error('not asked') },
    authorizeAll: (_identity, ids) => { asked.push([...ids]); return ids.filter(id => id !== 'b') }
  })
  const { url } = await start(t, { channels: { room } })
  const client = await connect(t, url + path)
  subscribe(client, 'room:a', 'room:b', 'room:c')
  await client.next('ack')
  t.strictSame(asked, [['a', 'b', 'c']])
  t.strictSame(client.received.filter(({ channel }) => channel !== undefined).map(({ type }) => type).sort(), ['subscribed', 'subscribed', 'unsubscribed'])
})

t.test('a handler that hangs ends its channel only, and a slow one delays no other channel', async t => {
  const slow = gate()
  const room = defineChannel({
    authorize: () => true,
    onMessage: { wait: async (_message, { channel }) => { if (channel.id === 'slow') await slow.opened } }
  })
  const { url } = await start(t, { timeouts: { handler: 300 }, channels: { room }, onMessage: { note () {} } })
  const client = await connect(t, url + path)
  subscribe(client, 'room:slow', 'room:quick')
  client.send({ type: 'wait', channel: 'room:slow', ref: 'slow' })
  client.send({ type: 'wait', channel: 'room:slow', ref: 'behind' })
  client.send({ type: 'wait', channel: 'room:quick', ref: 'quick' })
  client.send({ type: 'note', ref: 'note' })
  const refs = () => client.received.filter(({ ref, type }) => ref !== undefined && type !== 'pong').map(({ ref, type, data }) => `${ref} ${type} ${(data as { code?: string } | undefined)?.code ?? ''}`.trim())
  await eventually(() => refs().length === 5)
  t.strictSame(refs(), ['sub ack', 'quick ack', 'note ack', 'slow error handler_timeout', 'behind error not_subscribed'])
  t.match(await client.next('unsubscribed'), { channel: 'room:slow', data: { reason: 'failed' } })
  slow.open()
  subscribe(client, 'room:slow')
  await client.until(() => all(client, 'subscribed').length === 3)
})

t.test('a connection has at most limits.channels, and a user limits.channelsPerUser', async t => {
  const { url } = await start(t, { limits: { channels: 2, channelsPerUser: 3 }, channels: { board } })
  const first = await connect(t, url + path)
  subscribe(first, 'board:open1', 'board:open2', 'board:open3')
  await first.next('ack')
  t.match(all(first, 'unsubscribed'), [{ channel: 'board:open3', data: { reason: 'too_many_channels' } }])
  const second = await connect(t, url + path)
  subscribe(second, 'board:open1', 'board:open2')
  await second.next('ack')
  t.match(all(second, 'unsubscribed'), [{ channel: 'board:open2', data: { reason: 'too_many_channels' } }])
  first.send({ type: 'unsubscribe', ref: 1, data: { channels: ['board:open1'] } })
  await first.next('ack')
  subscribe(second, 'board:open2')
  t.match(await second.until(() => all(second, 'subscribed')[1]), { channel: 'board:open2' })
  first.socket.terminate()
  const third = await connect(t, url + path)
  await eventually(async () => {
    subscribe(third, 'board:open1')
    const { type }: Envelope = await third.until(() => third.received.filter(({ channel }) => channel !== undefined).at(-1))
    return type === 'subscribed'
  })
})

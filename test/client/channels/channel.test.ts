import { Type } from '@sinclair/typebox'
import t from 'tap'
import { WebSocket } from 'ws'
import { createClient, type ClientOptions, type RealtimeClient, type Resume, type Status, type WebSocketConstructor } from '../../../lib/client/index.js'
import { defineChannel, type RealtimeConnection } from '../../../lib/index.js'
import { start } from '../../harness.js'
import { eventually, gate } from '../../waiting.js'

class Socket extends WebSocket {
  constructor (url: string, protocols?: string[]) {
    super(url, protocols, { closeTimeout: 100 } as object)
  }
}

interface Scope {
  teardown (action: () => unknown): void
}

function connectTo (t: Scope, url: string, options: ClientOptions = {}): RealtimeClient & { errors: Error[] } {
  const errors: Error[] = []
  const client = createClient({
    baseUrl: `${url}/ws`, userId: 'ada', WebSocket: Socket as WebSocketConstructor, backoff: () => 10, onError: error => errors.push(error as Error), ...options
  })
  t.teardown(() => client.close())
  return Object.assign(client, { errors })
}

const board = defineChannel({
  authorize: (_identity, { id }) => id !== 'secret',
  messages: { card_moved: Type.Object({ card: Type.Integer() }), move_card: Type.Object({ card: Type.Integer() }) },
  answers: { move_card: Type.Object({ version: Type.Integer() }) },
  onMessage: { move_card: ({ data }) => ({ version: data.card * 2 }) }
})

/** Cuts the connection of a user without a Close frame. */
function cut (app: { ws: { connections (userId: string): RealtimeConnection[] } }): void {
  for (const connection of app.ws.connections('ada')) (connection as RealtimeConnection & { terminate (): void }).terminate()
}

t.test('channels share the connection of the client, and each resumes after a cut', async t => {
  const { app, url } = await start(t, { channels: { board } })
  const client = connectTo(t, url)
  const got: Record<string, number[]> = { b1: [], b2: [] }
  const resumes: Resume[] = []
  const statuses: Status[] = []
  for (const id of ['b1', 'b2']) {
    const channel = client.channel('board', id)
    channel.on('card_moved', data => got[id].push((data as { card: number }).card))
    if (id === 'b1') {
      channel.onResume(resume => resumes.push(resume))
      channel.onStatus(status => statuses.push(status))
    }
  }
  const own: string[] = []
  client.on('*', ({ type }) => own.push(type))
  const channels = ['b1', 'b2'].map(id => client.channel('board', id))
  await eventually(() => channels.every(({ status }) => status === 'open'))
  await app.ws.channel('board', 'b1').send({ type: 'card_moved', data: { card: 1 } })
  await app.ws.channel('board', 'b2').send({ type: 'card_moved', data: { card: 2 } })
  await eventually(() => got.b2.length === 1)
  cut(app)
  await app.ws.channel('board', 'b1').send({ type: 'card_moved', data: { card: 3 } })
  await eventually(() => got.b1.length === 2)
  t.strictSame(got, { b1: [1, 3], b2: [2] })
  t.strictSame(resumes, [{ recovered: true }])
  t.equal(app.ws.connections('ada').length, 1)
  t.equal(own.includes('card_moved'), false, 'listeners of the client do not get messages of channels')
  t.strictSame(statuses.filter((status, at) => status !== statuses[at - 1]), ['open', 'waiting', 'connecting', 'open'])
})

t.test('channels that are opened together are subscribed with one frame', async t => {
  const { url } = await start(t, { channels: { board } })
  const sent: Array<{ type: string, data: { channels: unknown } }> = []
  class Recording extends Socket {
    override send (frame: string): void {
      sent.push(JSON.parse(frame))
      super.send(frame)
    }
  }
  const client = connectTo(t, url, { WebSocket: Recording as WebSocketConstructor })
  await client.connected()
  const channels = ['b1', 'b2', 'b3'].map(id => client.channel('board', id))
  await eventually(() => channels.every(({ status }) => status === 'open'))
  t.strictSame(sent, [{ type: 'subscribe', data: { channels: [{ channel: 'board:b1' }, { channel: 'board:b2' }, { channel: 'board:b3' }] } }])
})

t.test('a request to a channel, or without one, resolves with the answer of the handler', async t => {
  const { url } = await start(t, { channels: { board }, answers: { quote: Type.Number() }, onMessage: { quote: ({ data }) => Number(data) + 1, note: () => 'kept' } })
  const client = connectTo(t, url)
  const channel = client.channel('board', 'b1')
  t.strictSame(await channel.request('move_card', { card: 4 }), { version: 8 })
  t.equal(await client.request('quote', 41), 42)
  t.equal(await client.request('note'), undefined)
  t.equal(await channel.send('move_card', { card: 4 }), undefined)
  await t.rejects(channel.request('move_card', { card: 'x' }), { code: 'bad_message' })
})

t.test('a channel that the user may not have is closed and reported, messages to it reject, and reopen() asks again', async t => {
  let isAllowed = false
  const { url } = await start(t, { channels: { room: defineChannel({ authorize: () => isAllowed, onMessage: { hi () {} } }) } })
  const client = connectTo(t, url)
  const channel = client.channel('room', 'r1')
  const sent = channel.send('hi')
  await t.rejects(sent, { code: 'forbidden' })
  t.match(channel.closed, { code: 4403, reason: 'forbidden' })
  t.equal(channel.status, 'closed')
  t.match(client.errors, [{ code: 'forbidden', message: 'room:r1: forbidden' }])
  t.equal(client.status, 'open')
  isAllowed = true
  channel.reopen()
  await channel.send('hi')
  t.equal(channel.status, 'open')
  t.equal(channel.closed, undefined)
})

t.test('the client subscribes to an unavailable channel again until it is available', async t => {
  let asked = 0
  const authorize = () => {
    if (++asked < 3) throw new Error('the database is away')
    return true
  }
  const { url } = await start(t, { channels: { room: defineChannel({ authorize, onMessage: { hi () {} } }) } })
  const channel = connectTo(t, url).channel('room', 'r1')
  const statuses: Status[] = []
  channel.onStatus(status => statuses.push(status))
  await channel.send('hi')
  t.equal(asked, 3)
  t.strictSame(statuses, ['waiting', 'connecting', 'waiting', 'connecting', 'open'])
})

t.test('a removed user gets nothing more, and does not come back by itself', async t => {
  const { app, url } = await start(t, { channels: { board }, onMessage: { note () {} } })
  const client = connectTo(t, url)
  const channel = client.channel('board', 'b1')
  const got: unknown[] = []
  channel.on('*', ({ data }) => got.push(data))
  await eventually(() => channel.status === 'open')
  await app.ws.channel('board', 'b1').remove('ada')
  await app.ws.channel('board', 'b1').send({ type: 'card_moved', data: { card: 1 } })
  await eventually(() => channel.status === 'closed')
  cut(app)
  await eventually(() => client.status !== 'open')
  await client.connected()
  await client.send('note')
  t.match(channel.closed, { reason: 'removed' })
  t.strictSame(got, [])
})

t.test('the last close of a channel unsubscribes after 5 s, and a channel that is opened before stays subscribed', async t => {
  const { app, url } = await start(t, { channels: { board } })
  const frames: string[] = []
  class Recording extends Socket {
    override send (frame: string): void { frames.push(JSON.parse(frame).type); super.send(frame) }
  }
  const client = connectTo(t, url, { WebSocket: Recording as unknown as WebSocketConstructor })
  const first = client.channel('board', 'b1')
  const got: unknown[] = []
  first.on('card_moved', data => got.push(data))
  await eventually(() => first.status === 'open')
  first.close()
  first.close()
  const second = client.channel('board', 'b1')
  second.on('card_moved', data => got.push(data))
  await app.ws.channel('board', 'b1').send({ type: 'card_moved', data: { card: 1 } })
  await eventually(() => got.length === 1)
  t.strictSame(frames, ['subscribe'])
  second.close()
  await eventually(() => frames.includes('unsubscribe'), 10_000)
  t.strictSame(frames, ['subscribe', 'unsubscribe'])
})

t.test('a message to a channel waits for the subscription, and is handled once across a cut', async t => {
  let runs = 0
  const isDecided = gate()
  const finish = gate()
  const room = defineChannel({
    authorize: async () => { await isDecided.opened; return true },
    onMessage: { async hi () { runs++; await finish.opened } }
  })
  const { app, url } = await start(t, { channels: { room } })
  const client = connectTo(t, url)
  const sent = client.channel('room', 'r1').send('hi')
  await client.connected()
  isDecided.open()
  await eventually(() => runs === 1)
  cut(app)
  await eventually(() => client.status !== 'open')
  finish.open()
  await sent
  t.equal(runs, 1)
})

t.test('a channel has a valid kind and id', async t => {
  const { url } = await start(t)
  const client = connectTo(t, url)
  for (const [kind, id] of [['Board', 'b1'], ['board', ''], ['board', 'a b'], ['board', '..']]) {
    t.throws(() => client.channel(kind, id), { name: 'TypeError', message: /channel '.*' does not match/ })
  }
})

t.test('a channel has the status of its client until the client is connected', async t => {
  const { url } = await start(t, { channels: { board } })
  const client = connectTo(t, url)
  t.equal(client.channel('board', 'b1').status, 'connecting')
  client.close()
  const channel = client.channel('board', 'b2')
  channel.reopen()
  t.equal(channel.status, 'closed')
  t.strictSame(channel.closed, client.closed)
  client.reopen()
  t.equal(channel.status, 'connecting')
  await eventually(() => channel.status === 'open')
})

import { once } from 'node:events'
import net, { type AddressInfo, type Socket } from 'node:net'
import { Type } from '@sinclair/typebox'
import t, { type Test } from 'tap'
import { defineChannel, type Envelope } from '../../lib/index.js'
import { redisBroker } from '../../lib/redis.js'
import { every } from '../every.js'
import { Client, connect, start } from '../harness.js'
import { AppProcess } from '../process.js'
import { RedisServer, skipRedis } from '../redis-server.js'
import { eventually, gate } from '../waiting.js'

/** With `FULL=1` the numbers and the times are the promised ones. Needs a machine without other load. */
const isFull = process.env.FULL === '1'
const clients = isFull ? 5_000 : 200
const channelsOf = 20

const names = (count: number, kind = 'board') => Array.from({ length: count }, (_, n) => `${kind}:b${n}`)

function subscribe (client: Client, channels: Array<{ channel: string, since?: string | undefined }>): void {
  client.send({ type: 'subscribe', ref: 1, data: { channels } })
}

const count = (client: Client, type: string) => client.received.filter(envelope => envelope.type === type).length

t.test(`${clients} clients resume ${channelsOf} channels each at once: all recover, at most 100 calls of authorize run at once, and no user waits for one whose authorize hangs`, async t => {
  t.setTimeout(isFull ? 300_000 : 60_000)
  // Longer than the test: the hanging calls hang until its end.
  const app = await AppProcess.startPlain(t, { timeouts: { authenticate: 600_000 }, limits: { pending: 20_000 } })
  const boards = channelsOf * 5
  const ofClient = (n: number) => Array.from({ length: channelsOf }, (_, at) => `board:b${(n + at * 5) % boards}`)
  const patience = isFull ? 120_000 : 30_000
  const join = async (users: string[]) => {
    const joined: Client[] = []
    for (let from = 0; from < users.length; from += 250) {
      joined.push(...await Promise.all(users.slice(from, from + 250).map(user => connect(t, `${app.url}/ws/notifications/${user}`))))
    }
    return joined
  }
  const users = Array.from({ length: clients }, (_, n) => `user_${n}`)
  const before = await join(users)
  for (const [n, client] of before.entries()) subscribe(client, ofClient(n).map(channel => ({ channel })))
  await Promise.all(before.map(client => client.next('ack', patience)))
  const positions = before.map(client => new Map(client.received.filter(({ type }) => type === 'subscribed')
    .map(({ channel, data }) => [channel!, (data as { position: string }).position])))
  for (const client of before) client.socket.terminate()
  await eventually(async () => (await app.stats()).connections === 0, patience)
  await app.post('/boards', { channels: boards })

  const hanging = await join(['hanging', 'hanging', 'hanging'])
  for (const client of hanging) subscribe(client, names(100).slice(0, 60).map(channel => ({ channel })))
  await eventually(async () => ((await app.post('/decisions', {})) as { pending: number }).pending === 50)
  const again = await join(users)
  await app.post('/decisions', {})
  for (const [n, client] of again.entries()) subscribe(client, ofClient(n).map(channel => ({ channel, since: positions[n].get(channel) })))
  await Promise.all(again.map(client => client.next('ack', patience)))
  await Promise.all(again.map(client => client.until(() => count(client, 'n') >= channelsOf, patience)))
  const { most, delay } = await app.post('/decisions', {}) as { most: number, delay: number }

  t.comment(`${most} decisions at once, p99 of the event loop delay ${delay.toFixed(1)} ms`)
  t.ok(most > 50 && most <= 100, `${most} decisions at once`)
  t.ok(delay < (isFull ? 25 : Infinity), `p99 of the event loop delay ${delay.toFixed(1)} ms`)
  t.ok(every(again, client => every(client.received.filter(({ type }) => type === 'subscribed'), ({ data }) => (data as { recovered: boolean, replayed: number }).recovered)))
  t.ok(every(again, client => count(client, 'subscribed') === channelsOf && count(client, 'n') === channelsOf))
  t.ok(every(again, (client, n) => new Set(client.received.filter(({ type }) => type === 'n').map(({ channel }) => channel)).size === channelsOf && positions[n].size === channelsOf))
  t.ok(every(hanging, client => count(client, 'subscribed') + count(client, 'unsubscribed') === 0), 'the hanging user still waits')
})

/** Memory of an app in bytes, once it no longer changes by itself. */
async function steady (app: AppProcess): Promise<number> {
  let memory = 0
  let last = 0
  await eventually(async () => {
    last = memory
    memory = (await app.usage()).memory
    return Math.abs(memory - last) < 64 * 1024
  })
  return memory
}

t.test('an idle subscription takes at most 300 bytes, and a channel at most 2.5 KB', async t => {
  const app = await AppProcess.startPlain(t, { limits: { channelsPerUser: 200, connectionsPerUser: 200 } })
  const perClient = 99
  const connections = 100
  let round = 0
  /** Memory of 99 more subscriptions of each of 100 connections, to `channels` channels, in bytes. */
  const cost = async (channels: number) => {
    // Other users each time, because a user may subscribe to 200 channels at once.
    const prefix = `${app.url}/ws/notifications/user_${round++}`
    const joined = await Promise.all(Array.from({ length: connections }, (_, n) => connect(t, `${prefix}_${n}`)))
    const ask = async (select: (n: number) => string[]) => {
      for (const [n, client] of joined.entries()) subscribe(client, select(n).map(channel => ({ channel })))
      await Promise.all(joined.map(client => client.next('ack')))
    }
    // The first frame of this size, and the first subscription, take memory of the connection.
    await ask(() => Array.from({ length: perClient }, (_, at) => at === 0 ? 'board:first' : `no_kind:b${at}`))
    const before = await steady(app)
    await ask(n => Array.from({ length: perClient }, (_, at) => `board:b${(n * perClient + at) % channels}`))
    const after = await steady(app)
    t.ok(every(joined, client => count(client, 'subscribed') === perClient + 1))
    for (const client of joined) client.socket.close()
    await eventually(async () => (await app.stats()).connections === 0)
    return after - before
  }
  // Code and tables of a server that was used before.
  await cost(perClient)
  const few = await cost(perClient)
  const many = await cost(10 * perClient)
  const perChannel = Math.round((many - few) / (9 * perClient))
  const perSubscription = Math.round((few - perClient * perChannel) / (connections * perClient))
  t.comment(`${perSubscription} bytes per subscription, ${perChannel} per channel`)
  t.ok(perSubscription > 30 && perSubscription <= 300, `${perSubscription} bytes per subscription`)
  t.ok(perChannel > 300 && perChannel <= 2_500, `${perChannel} bytes per channel`)
})

/** Bytes per second of the slow client. */
const bandwidth = 20 * 1024 * 1024

/** A TCP proxy that passes a limited number of bytes per second to each client. Resolves with its port, and its connections to the app. */
async function startThrottle (t: { teardown (action: () => unknown): void }, port: number): Promise<{ port: number, upstreams: Socket[] }> {
  const step = 5
  const upstreams: Socket[] = []
  const server = net.createServer(client => {
    const upstream = net.connect(port, '127.0.0.1')
    upstreams.push(upstream)
    client.pipe(upstream)
    let room = 0
    upstream.on('data', chunk => {
      client.write(chunk)
      room -= chunk.length
      if (room <= 0) upstream.pause()
    })
    // The pace of the network.
    const timer = setInterval(() => {
      room = Math.min(0, room) + bandwidth / 1_000 * step
      if (room > 0) upstream.resume()
    }, step)
    const end = () => {
      clearInterval(timer)
      client.destroy()
      upstream.destroy()
    }
    for (const socket of [client, upstream]) socket.setNoDelay(true).on('error', end).on('close', end)
    t.teardown(end)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  return { port: (server.address() as AddressInfo).port, upstreams }
}

const percentile = (values: number[], part: number) => values.toSorted((a, b) => a - b)[Math.floor(values.length * part)]

interface Numbered {
  readonly n: number
  /** When it was sent, on the monotonic clock, in ms. */
  readonly at: number
  /** Bytes that were written to the connection with the backlog by then. */
  readonly written: number
  /** Part of the backlog that its client had by then. */
  readonly old: number
}

t.test('a channel that is 10 MiB behind loses nothing, and live messages of 19 other channels of the connection overtake it', async t => {
  const backlog = 1_280
  const board = defineChannel({ authorize: () => true, history: { size: 2 * backlog } })
  const { app, url, port } = await start(t, { channels: { board }, insecure: true })
  const accepted: Socket[] = []
  app.server.on('connection', socket => accepted.push(socket))
  const first = await connect(t, `${url}/ws/notifications/ada`)
  subscribe(first, [{ channel: 'board:b0' }])
  const { position } = (await first.next('subscribed')).data as { position: string }
  first.socket.terminate()
  const text = 'x'.repeat(8 * 1024)
  for (let n = 0; n < backlog; n++) await app.ws.channel('board', 'b0').send({ type: 'old', data: { n, text } })

  const throttle = await startThrottle(t, port)
  const ids = Array.from({ length: channelsOf - 1 }, (_, n) => `b${n + 1}`)
  const [behind, beside] = [
    await connect(t, `ws://127.0.0.1:${throttle.port}/ws/notifications/ada`), await connect(t, `ws://127.0.0.1:${throttle.port}/ws/notifications/bob`)
  ]
  for (const client of [behind, beside]) {
    subscribe(client, ids.map(id => ({ channel: `board:${id}` })))
    await client.next('ack')
  }
  const [upstream] = throttle.upstreams
  const stream = accepted.find(({ remotePort }) => remotePort === upstream.localPort)!
  const delays = new Map<Client, number[]>([[behind, []], [beside, []]])
  /** Bytes that were written before each live message, although they were not written yet when it was sent. */
  const before: number[] = []
  for (const [client, ofClient] of delays) {
    // Nothing is on its way.
    let received = stream.bytesWritten
    client.socket.on('message', (data: Buffer) => {
      const { type, data: live }: { type: string, data: Numbered } = JSON.parse(data.toString())
      if (type === 'live') ofClient.push(performance.now() - live.at)
      if (type === 'live' && client === behind) before.push(received - live.written)
      received += data.length + (data.length < 126 ? 2 : 4)
    })
  }
  subscribe(behind, [{ channel: 'board:b0', since: position }])
  t.match(await behind.next('subscribed'), { data: { recovered: true, replayed: backlog } })
  let rounds = 0
  for (let old = 0; old < backlog; old = count(behind, 'old')) {
    const data = { n: rounds++, at: performance.now(), written: stream.bytesWritten, old: old / backlog }
    for (const id of ids) await app.ws.channel('board', id).send({ type: 'live', data })
    // The pace of the live messages.
    await new Promise(resolve => setTimeout(resolve, 5))
  }
  await Promise.all([behind, beside].map(client => client.until(() => count(client, 'live') === rounds * ids.length)))

  const of = (client: Client, name: string) => client.received.filter(({ channel, type }) => channel === `board:${name}` && type !== 'subscribed')
  const isInOrder = (envelopes: Envelope[]) => every(envelopes, ({ data }, at) => (data as Numbered).n === at)
  t.ok(isInOrder(of(behind, 'b0')))
  for (const client of [behind, beside]) t.ok(every(ids, id => isInOrder(of(client, id)) && of(client, id).length === rounds))
  const last = behind.received.findLastIndex(({ type }) => type === 'old')
  const early = behind.received.flatMap(({ type, data }, at) => type === 'live' && (data as Numbered).old < 0.25 ? [at] : [])
  t.ok(every(early, at => at < last), 'what was sent in the first quarter arrived before the last of the backlog')
  const most = Math.max(...before)
  t.ok(before.length > 0 && most < 256 * 1024, `at most ${Math.round(most / 1024)} KiB were written before a live message`)
  const [late, usual] = [behind, beside].map(client => Math.round(percentile(delays.get(client)!, 0.99)))
  t.comment(`${before.length} live messages, p99 ${late} ms beside the backlog and ${usual} ms without it`)
  t.ok(late - usual < (isFull ? 50 : Infinity), `p99 ${late} ms beside the backlog and ${usual} ms without it`)
})

t.test('a handler that hangs ends its channel only: the handlers and the publications of 19 other channels continue', async t => {
  const hanging = gate()
  t.teardown(() => hanging.open())
  const board = defineChannel({
    authorize: () => true,
    onMessage: {
      hang: () => hanging.opened,
      echo: (_message, { channel }) => channel.send({ type: 'echoed' })
    }
  })
  const { app, url } = await start(t, { channels: { board }, timeouts: { handler: 200 }, onMessage: { note () {} } })
  const client = await connect(t, `${url}/ws/notifications/ada`)
  const channels = names(channelsOf)
  subscribe(client, channels.map(channel => ({ channel })))
  await client.next('ack')
  const outcomes = () => Object.fromEntries(client.received.filter(({ ref }) => typeof ref === 'string').map(({ ref, type, data }) =>
    [ref, (data as { code?: string } | undefined)?.code ?? type]))
  for (const ref of ['hang', 'behind']) client.send({ type: ref === 'hang' ? 'hang' : 'echo', channel: channels[0], ref })
  for (const channel of channels.slice(1)) client.send({ type: 'echo', channel, ref: channel })
  client.send({ type: 'note', ref: 'note' })
  const others = [...channels.slice(1), 'note']
  await client.until(() => others.every(ref => outcomes()[ref] === 'ack'))
  t.strictSame(outcomes(), Object.fromEntries(others.map(ref => [ref, 'ack'])), 'nothing waits for the handler that hangs')
  t.match(await client.next('unsubscribed'), { channel: channels[0], data: { reason: 'failed' } })
  await client.until(() => outcomes().behind)
  t.match(outcomes(), { hang: 'handler_timeout', behind: 'not_subscribed' })
  for (const channel of channels) await app.ws.channel('board', channel.slice('board:'.length)).send({ type: 'last' })
  await client.until(() => count(client, 'last') === channelsOf - 1)
  const got = (type: string) => client.received.filter(envelope => envelope.type === type).map(({ channel }) => channel).sort()
  t.strictSame(got('echoed'), channels.slice(1).sort())
  t.strictSame(got('last'), channels.slice(1).sort())
  subscribe(client, [{ channel: channels[0] }])
  await client.until(() => count(client, 'subscribed') === channelsOf + 1)
  client.send({ type: 'echo', channel: channels[0], ref: 'again' })
  await client.until(() => outcomes().again === 'ack')
  t.equal(client.closed, undefined)
})

/** Answers of the size that a message wants, each with another number. */
function numbering () {
  const handled: string[] = []
  const opened = gate()
  const board = defineChannel({
    authorize: () => true,
    answers: { take: Type.Object({ number: Type.Integer(), text: Type.String() }) },
    onMessage: {
      async take ({ ref, data }, { connection }) {
        handled.push(`${connection.userId} ${ref}`)
        const number = handled.length
        const { size, isSlow } = data as { size: number, isSlow?: boolean }
        if (isSlow === true) await opened.opened
        return { number, text: 'x'.repeat(size) }
      }
    }
  })
  return { board, handled, open: () => opened.open() }
}

/** Connects, subscribes and resolves with a function that sends a message with a `ref` and resolves with its answer. */
async function asker (t: Test, url: string, user: string) {
  const client = await connect(t, `${url}/ws/notifications/${user}`)
  subscribe(client, [{ channel: 'board:b0' }])
  await client.next('ack')
  const send = (ref: string, size = 0, isSlow = false) => client.send({ type: 'take', channel: 'board:b0', ref, data: { size, isSlow } })
  const ask = async (ref: string, size = 0): Promise<number | string> => {
    const before = client.received.length
    send(ref, size)
    const { data } = await client.until(() => client.received.slice(before).find(envelope => envelope.ref === ref))
    const { code, number } = data as { code?: string, number?: number }
    return code ?? number!
  }
  return { client, send, ask }
}

async function startNodes (t: Test, board: ReturnType<typeof numbering>['board']): Promise<string[]> {
  const { url } = await RedisServer.start(t)
  const nodes = await Promise.all([1, 2].map(() => start(t, { broker: redisBroker({ url }), channels: { board } })))
  return nodes.map(node => node.url)
}

const sameAnswer = 'a message with a string ref that is repeated gets the data of its first answer, also after a reconnect'

async function checkSameAnswer (t: Test, urls: string[], { board: _, handled, open }: ReturnType<typeof numbering>): Promise<void> {
  const first = await asker(t, urls[0], 'ada')
  t.equal(await first.ask('a'), 1)
  t.equal(await first.ask('b'), 2)
  t.equal(await first.ask('a'), 1)
  first.send('slow', 0, true)
  await eventually(() => handled.length === 3)
  first.client.socket.terminate()
  for (const url of urls) {
    const again = await asker(t, url, 'ada')
    t.equal(await again.ask('a'), 1)
    t.equal(await again.ask('b'), 2)
    again.client.socket.terminate()
  }
  const other = await asker(t, urls.at(-1)!, 'ada')
  const slow = other.ask('slow')
  open()
  t.equal(await slow, 3, 'the handler ran while the client reconnected')
  const bob = await asker(t, urls.at(-1)!, 'bob')
  t.equal(await bob.ask('a'), 4, "another user's ref is another one")
  t.strictSame(handled, ['ada a', 'ada b', 'ada slow', 'bob a'])
}

t.test(sameAnswer, async t => {
  const numbers = numbering()
  const { url } = await start(t, { channels: { board: numbers.board } })
  await checkSameAnswer(t, [url], numbers)
})

t.test(`${sameAnswer} to another node on Redis`, { skip: skipRedis }, async t => {
  const numbers = numbering()
  await checkSameAnswer(t, await startNodes(t, numbers.board), numbers)
})

const lostAnswer = 'of more than 256 KiB of answers of a user the oldest are lost, and none of another user'

async function checkLostAnswers (t: Test, urls: string[], { handled }: ReturnType<typeof numbering>): Promise<void> {
  const size = 50 * 1024
  const bob = await asker(t, urls[0], 'bob')
  for (const ref of ['a', 'b']) await bob.ask(ref, 2 * size)
  const ada = await asker(t, urls[0], 'ada')
  const refs = Array.from({ length: 12 }, (_, n) => `r${n}`)
  const numbers: Array<number | string> = []
  for (const ref of refs) numbers.push(await ada.ask(ref, size))
  t.strictSame(numbers, refs.map((_, n) => n + 3))
  for (const url of urls) {
    const again = await asker(t, url, 'ada')
    const answers: Array<number | string> = []
    for (const ref of refs) answers.push(await again.ask(ref, size))
    t.strictSame(answers, numbers.map((number, n) => n < refs.length - 5 ? 'answer_lost' : number))
    const others = await asker(t, url, 'bob')
    t.strictSame([await others.ask('a', 2 * size), await others.ask('b', 2 * size)], [1, 2])
  }
  t.equal(handled.length, 2 + refs.length, 'nothing is handled twice')
}

t.test(lostAnswer, async t => {
  const numbers = numbering()
  const { url } = await start(t, { channels: { board: numbers.board } })
  await checkLostAnswers(t, [url], numbers)
})

t.test(`${lostAnswer}, on each node on Redis`, { skip: skipRedis }, async t => {
  const numbers = numbering()
  await checkLostAnswers(t, await startNodes(t, numbers.board), numbers)
})

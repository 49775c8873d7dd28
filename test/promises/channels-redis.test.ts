import t, { type Test } from 'tap'
import { defineChannel, type Envelope, type RealtimeOptions } from '../../lib/index.js'
import { redisBroker } from '../../lib/redis.js'
import { every } from '../every.js'
import { connect, start, type Client } from '../harness.js'
import { ChaosProxy, RedisServer, skipRedis } from '../redis-server.js'
import { eventually } from '../waiting.js'

/** With `FULL=1` the time limits are the promised ones. Needs a machine without other load. */
const isFull = process.env.FULL === '1'

// Most of a test is waiting.
t.jobs = 4

type Joined = Awaited<ReturnType<typeof connect>>

async function startNode (t: Test, url: string, options: RealtimeOptions = {}) {
  const board = defineChannel({ authorize: () => true, history: { size: 10 } })
  const { app, url: address } = await start(t, { broker: redisBroker({ url }), channels: { board }, insecure: true, ...options })
  return { app, board: (id: string) => app.ws.channel('board', id), join: (user: string) => connect(t, `${address}/ws/notifications/${user}`) }
}

const framesOf = (client: Client, channel: string) => client.received.filter(envelope => envelope.channel === channel)
const shown = ({ type, data }: Envelope) => {
  const { reason, n } = data as { reason?: string, n?: number }
  return reason ?? n ?? type
}

/** Subscribes, and resolves with `subscribed` or the reason against it. */
async function subscribe (client: Client, channel: string, since?: string): Promise<Envelope> {
  const before = client.received.length
  client.send({ type: 'subscribe', data: { channels: [{ channel, since }] } })
  const isAnswer = (envelope: Envelope) => envelope.channel === channel && /^(un)?subscribed$/.test(envelope.type)
  return client.until(() => client.received.slice(before).find(isAnswer))
}

/** Subscribes until that succeeds, like a client with a backoff. */
async function subscribeUntil (client: Client, channel: string): Promise<void> {
  await eventually(async () => {
    if ((await subscribe(client, channel)).type === 'subscribed') return true
    // The backoff.
    await new Promise(resolve => setTimeout(resolve, 100))
    return false
  })
}

/** A publication that is stored, however often it takes. */
async function publish (channel: { send (message: { type: string, data: unknown }): Promise<unknown> }, n: number): Promise<void> {
  await eventually(() => channel.send({ type: 'n', data: { n } }).then(() => true, () => false))
}

const outages: Record<string, { stop (server: RedisServer): unknown, end (server: RedisServer): unknown }> = {
  suspended: { stop: server => server.stop(), end: server => server.goOn() },
  stopped: { stop: server => server.kill(), end: server => server.restart() }
}

for (const [name, { stop, end }] of Object.entries(outages)) {
  t.test(`while Redis is ${name} subscribed channels stay, a new subscribe gets unavailable, and the same one succeeds afterwards`, { skip: skipRedis }, async t => {
    const server = await RedisServer.start(t, ['--appendonly', 'yes', '--appendfsync', 'always'])
    const [{ board, join }, { board: otherBoard }] = [await startNode(t, server.url), await startNode(t, server.url)]
    const [ada, bob] = [await join('ada'), await join('bob')]
    for (const channel of ['board:born', 'board:unborn']) t.equal((await subscribe(ada, channel)).type, 'subscribed')
    await publish(board('born'), 1)
    await ada.next('n')
    await stop(server)
    // One that is known to this node, one without a publication, and a new one.
    for (const channel of ['board:born', 'board:unborn', 'board:new']) {
      const began = performance.now()
      t.match(await subscribe(bob, channel), { type: 'unsubscribed', data: { reason: 'unavailable' } }, channel)
      const took = performance.now() - began
      t.ok(took < (isFull ? 5_000 : Infinity), `unavailable after ${Math.round(took)} ms`)
    }
    // A channel that it has needs no Redis.
    t.match(await subscribe(ada, 'board:born', ada.received.at(-1)!.id), { type: 'subscribed', data: { recovered: true, replayed: 0 } })
    await end(server)
    for (const channel of ['board:born', 'board:unborn', 'board:new']) await subscribeUntil(bob, channel)
    for (const id of ['born', 'unborn', 'new']) await publish(otherBoard(id), 2)
    await ada.until(() => ['born', 'unborn'].every(id => framesOf(ada, `board:${id}`).map(shown).includes(2)))
    await bob.until(() => ['born', 'unborn', 'new'].every(id => framesOf(bob, `board:${id}`).map(shown).includes(2)))
    t.strictSame(framesOf(ada, 'board:born').map(shown), ['subscribed', 1, 'subscribed', 2])
    t.strictSame(framesOf(ada, 'board:unborn').map(shown), ['subscribed', 2])
    t.strictSame(framesOf(ada, 'board:new'), [])
    t.strictSame([ada.closed, bob.closed], [undefined, undefined])
  })
}

/** Whether a client knows that it has to load the state of a channel again. */
const isNotified = (client: Client, channel: string) => framesOf(client, channel)
  .some(({ type, data }) => type === 'resync' || (type === 'unsubscribed' && (data as { reason: string }).reason === 'unavailable'))

const losses: Record<string, (server: RedisServer, t: Test) => Promise<unknown>> = {
  'is emptied': (server, t) => server.client(t).flushall(),
  'is restarted empty': server => server.restart({ isEmpty: true })
}

for (const [name, lose] of Object.entries(losses)) {
  for (const isSilent of [true, false]) {
    const title = `when Redis ${name}, and ${isSilent ? 'nothing' : 'something'} is published afterwards, each subscriber gets resync or unavailable, and then later publications`
    t.test(title, { skip: skipRedis }, async t => {
      const server = await RedisServer.start(t)
      const nodes = [await startNode(t, server.url), await startNode(t, server.url)]
      const clients: Joined[] = []
      const channels = ['board:born', 'board:unborn']
      for (const [at, { join }] of nodes.entries()) clients.push(await join(`user_${at}`))
      for (const client of clients) for (const channel of channels) await subscribe(client, channel)
      await publish(nodes[0].board('born'), 1)
      await Promise.all(clients.map(client => client.next('n')))
      const positions = clients.map(client => client.received.at(-1)!.id!)
      await lose(server, t)
      if (!isSilent) for (const { board } of nodes) for (const id of ['born', 'unborn']) await publish(board(id), 2)
      // Nobody has missed anything of a channel whose first publications arrive.
      const isWhole = (client: Client) => framesOf(client, 'board:unborn').map(shown).filter(n => n === 2).length === 2
      const isDone = (client: Client) => isNotified(client, 'board:born') && (isNotified(client, 'board:unborn') || isWhole(client))
      await Promise.all(clients.map(client => client.until(() => isDone(client), 40_000)))
      t.ok(every(clients, client => isNotified(client, 'board:born')))
      for (const [at, client] of clients.entries()) {
        const again = await subscribe(client, 'board:born', positions[at])
        t.match(again, { type: 'subscribed', data: { recovered: false } }, 'a position in the lost data cannot be recovered')
        await subscribeUntil(client, 'board:unborn')
      }
      await publish(nodes[1].board('born'), 3)
      await publish(nodes[0].board('unborn'), 3)
      for (const client of clients) {
        await client.until(() => channels.every(channel => framesOf(client, channel).map(shown).includes(3)))
        for (const channel of channels) t.equal(framesOf(client, channel).map(shown).filter(n => n === 3).length, 1, channel)
      }
    })
  }
}

for (const missed of [5, 50]) {
  t.test(`a user who is removed while a node is cut off from Redis gets nothing that is published afterwards, with ${missed} publications missed`, { skip: skipRedis }, async t => {
    const server = await RedisServer.start(t)
    const proxy = await ChaosProxy.start(t, server.port)
    const [near, far] = [await startNode(t, server.url), await startNode(t, proxy.url)]
    const [ada, bob] = [await far.join('ada'), await far.join('bob')]
    for (const client of [ada, bob]) await subscribe(client, 'board:b0')
    await publish(near.board('b0'), 0)
    for (const client of [ada, bob]) await client.next('n')
    proxy.hold()
    await near.board('b0').remove('ada')
    for (let n = 1; n <= missed; n++) await publish(near.board('b0'), n)
    proxy.cut()
    proxy.release()
    await ada.until(() => framesOf(ada, 'board:b0').some(({ type }) => type === 'unsubscribed'))
    // The node may not know whether there was a removal among what it missed.
    const isKnown = missed < 10
    await bob.until(() => isKnown || framesOf(bob, 'board:b0').some(({ type }) => type === 'unsubscribed'))
    await subscribeUntil(bob, 'board:b0')
    await publish(near.board('b0'), missed + 1)
    await bob.until(() => framesOf(bob, 'board:b0').map(shown).includes(missed + 1))
    t.strictSame(framesOf(ada, 'board:b0').map(shown), ['subscribed', 0, isKnown ? 'removed' : 'unavailable'])
    const seen = isKnown ? Array.from({ length: missed }, (_, n) => n + 1) : ['unavailable']
    t.strictSame(framesOf(bob, 'board:b0').map(shown), ['subscribed', 0, ...seen, 'subscribed', missed + 1])
  })
}

import t from 'tap'
import { WebSocket } from 'ws'
import { createClient, type WebSocketConstructor } from '../../lib/client/index.js'
import type { Run } from '../../lib/index.js'
import { ask, startChat } from '../chat.js'
import { every, found } from '../every.js'
import { as, authenticateByHeader, connect, outcome, start, upgrade, type Client } from '../harness.js'
import { eventually, gate } from '../waiting.js'
import { AppProcess } from '../process.js'

const path = (user: string) => `/ws/notifications/${user}`
const chatPath = (user: string, chat: string) => `/ws/support/app/${chat}/${user}`
const fast = { rate: 100_000, burst: 100_000 }

/** Sends `count` messages at once. */
function flood (client: Client, count: number, data?: unknown): void {
  for (let n = 0; n < count; n++) client.send({ type: 'count', ref: n, data })
}

t.test('messages of a user above the rate are read later and not refused, and another user is answered meanwhile', async t => {
  let handled = 0
  const { app, url } = await start(t, {
    authenticate: authenticateByHeader,
    limits: { rate: 400, burst: 400, userRate: 400, userBurst: 400 },
    onMessage: { count: () => { handled++ } }
  })
  const clients = await Promise.all([1, 2, 3].map(() => connect(t, url + path('u1'), as('u1'))))
  const other = await connect(t, url + path('u2'), as('u2'))
  const began = performance.now()
  // Three tokens each: one for each 2 KiB, begun or full.
  for (const client of clients) flood(client, 200, 'x'.repeat(5_000))
  await eventually(() => handled * 3 >= 400)
  for (let n = 0; n < 20; n++) {
    other.send({ type: 'ping' })
    await other.next('pong')
  }
  // The event loop may have been late by a second.
  const allowed = 400 + 400 + (performance.now() - began) / 1_000 * 400
  t.ok(handled * 3 <= allowed, `${handled * 3} of 1,800 tokens are spent, and the limit is ${Math.round(allowed)}`)
  for (const client of clients) {
    await eventually(() => client.received.filter(({ type }) => type === 'ack').length === 200, 60_000)
    t.strictSame(found(client.received, ({ type }) => type === 'error'), [])
    t.same(client.received.filter(({ type }) => type === 'ack').map(({ ref }) => ref), Array.from({ length: 200 }, (_, n) => n))
  }
  t.equal(handled, 600)
  t.equal(app.ws.stats().connections, 4)
})

t.test('messages of three devices at the pace of the client of this package are not held, and a flood is held', async t => {
  const { app, url } = await start(t, { authenticate: authenticateByHeader, onMessage: { count: () => {} } })
  const devices = Array.from({ length: 3 }, () => createClient({
    userId: 'u1',
    baseUrl: `${url}/ws`,
    WebSocket: class extends WebSocket {
      constructor (address: string) {
        super(address, as('u1'))
      }
    } as unknown as WebSocketConstructor
  }))
  t.teardown(() => devices.forEach(device => device.close()))
  await Promise.all(devices.flatMap(device => Array.from({ length: 60 }, () => device.send('count', 'x'.repeat(1_000), { timeout: 60_000 }))))
  t.equal(app.ws.stats().holds, 0)
  flood(await connect(t, url + path('u2'), as('u2')), 30, 'x'.repeat(60_000))
  await eventually(() => app.ws.stats().holds > 0)
})

t.test('a client that reconnects does not get a new burst', async t => {
  let handled = 0
  const { url } = await start(t, {
    authenticate: authenticateByHeader,
    limits: { rate: 20, burst: 50, userRate: 20, userBurst: 50 },
    onMessage: { count: () => { handled++ } }
  })
  const began = performance.now()
  for (let n = 0; n < 40; n++) {
    const client = await connect(t, url + path('u1'), { ...as('u1'), handshakeTimeout: 60_000 }).catch(() => undefined)
    if (client === undefined || performance.now() - began > 5_000) break
    flood(client, 25)
    client.socket.terminate()
  }
  await eventually(() => handled > 0)
  // At the pong, all earlier messages have been read.
  const other = await connect(t, url + path('u2'), as('u2'))
  other.send({ type: 'ping' })
  await other.next('pong')
  const refilled = (performance.now() - began) / 1_000 * 20
  t.ok(handled <= 50 + 25 + refilled, `${handled} of 1,000 in ${Math.round(performance.now() - began)} ms`)
})

t.test('a message with too many values is refused with too_big, and the connection stays open', async t => {
  const { url } = await start(t, { onMessage: { list: () => {} } })
  const client = await connect(t, url + path('u1'))
  for (let n = 0; n < 20; n++) {
    client.send({ type: 'list', ref: n, data: Array(2_000).fill(0) })
    const { ref, data } = await client.next('error')
    t.same([ref, data!.code], [n, 'too_big'])
  }
  client.send({ type: 'list', ref: 'r', data: Array(900).fill(0) })
  t.match(await client.next('ack'), { ref: 'r' })
})

t.test('one user gets at most half of limits.liveRuns, and another user can still start a run', async t => {
  const { app, url } = await startChat(t, { onMessage: (run: Run) => new Promise(resolve => run.signal.addEventListener('abort', resolve)) }, {
    authenticate: authenticateByHeader,
    limits: { liveRuns: 20, connectionsPerUser: 20 }
  })
  const outcomes: string[] = []
  const clients = await Promise.all(Array.from({ length: 17 }, (_, n) => connect(t, url + chatPath('u1', `c${n}`), as('u1'))))
  for (const client of clients) outcomes.push(await ask(client, 'chat_message', { content: 'q' }))
  t.same(outcomes, [...Array(10).fill('ack'), ...Array(7).fill('chat_busy')])
  const other = await connect(t, url + chatPath('u2', 'c'), as('u2'))
  t.equal(await ask(other, 'chat_message', { content: 'q' }), 'ack')
  t.throws(() => app.ws.chat({ workflow: 'w', appId: 'a', chatId: 'c', userId: 'u1' }).start(() => {}), { code: 'RT_ERR_CHAT_BUSY', message: /'limits\.liveRuns'/ })
  t.equal(await ask(clients[0], 'chat_cancel', { ref: 'x' }), 'ack')
  await Promise.all(clients.map(client => ask(client, 'chat_cancel')))
  t.equal(await ask(clients[0], 'chat_message', { content: 'q' }), 'ack', 'a run that has ended frees its place')
  await Promise.all([...clients, other].map(client => ask(client, 'chat_cancel')))
})

t.test('a flood into a user\'s own chats evicts no unread messages, answered refs or accepted messages of other users', async t => {
  const [users, rounds, ms] = process.env.FULL === '1' ? [200, Infinity, 60_000] : [50, 40, Infinity]
  const runs: string[] = []
  const votes: unknown[] = []
  const { app, url } = await startChat(t, { onMessage: (run, { id }) => { runs.push(`${run.userId} ${id}`) } }, {
    authenticate: authenticateByHeader,
    history: { bytes: 8 * 1024 * 1024 },
    limits: { ...fast, connectionsPerUser: 20 },
    onMessage: { vote: ({ data }) => { votes.push(data) } }
  })
  const offline: Array<{ user: string, since: string }> = []
  for (let n = 0; n < users; n++) {
    const user = `offline${n}`
    const client = await connect(t, url + path(user), as(user))
    offline.push({ user, since: client.ack.data!.position })
    client.socket.close()
    for (let m = 0; m < 3; m++) await app.ws.sendToUser(user, { type: 'notification', data: { title: `${m}` } })
  }
  const victim = await connect(t, url + chatPath('victim', 'c'), as('victim'))
  t.equal(await ask(victim, 'chat_message', { message_id: 'm', content: 'q' }, 'first'), 'ack')
  t.equal(await ask(victim, 'vote', { n: 1 }, 'v'), 'ack')
  const content = 'x'.repeat(60_000)
  const attackers = await Promise.all(Array.from({ length: 10 }, (_, n) => connect(t, url + chatPath('attacker', `c${n}`), as('attacker'))))
  const end = performance.now() + ms
  for (let n = 0; n < rounds && performance.now() < end; n++) {
    const sent = attackers.flatMap((client, at) => [
      ask(client, 'chat_message', { message_id: `big${n}`, content }, `b${n}.${at}`),
      ...Array.from({ length: 10 }, (_, m) => ask(client, 'vote', {}, `v${n}.${at}.${m}`)),
      ask(client, 'chat_cancel', { ref: `never${n}.${at}` })
    ])
    await Promise.all(sent)
  }
  t.ok(app.ws.stats().bytes <= 8 * 1024 * 1024, 'the memory stays within history.bytes')
  for (const { user, since } of offline) {
    const client = await connect(t, `${url}${path(user)}?since=${since}`, as(user))
    t.match(client.ack.data, { recovered: true, replayed: 3 }, user)
    client.socket.close()
  }
  const again = await connect(t, url + chatPath('victim', 'c'), as('victim'))
  t.equal(await ask(again, 'chat_message', { message_id: 'm', content: 'q' }, 'second'), 'ack')
  t.equal(await ask(again, 'vote', { n: 1 }, 'v'), 'ack')
  t.same(runs.filter(run => run.startsWith('victim')), ['victim m'])
  t.equal(votes.filter(vote => (vote as { n?: number }).n === 1).length, 1)
})

t.test('an address with 300 pending handshakes does not keep another address out', async t => {
  const asked = { mine: 0, others: 0 }
  const slow = gate()
  const { port, url } = await start(t, {
    authenticate: async request => {
      const isOther = request.ip === '127.0.0.2'
      asked[isOther ? 'others' : 'mine']++
      if (!isOther) await slow.opened
      return authenticateByHeader(request)
    },
    limits: { pending: 100 }
  })
  const streams = Array.from({ length: 300 }, () => upgrade(t, port, path('u1'), { headers: { 'x-user': 'u1' } }))
  await eventually(() => asked.mine === 50)
  for (let n = 0; n < 40; n++) t.equal(await outcome(url + path('u2'), { ...as('u2'), localAddress: '127.0.0.2' }), 'ack')
  t.same(asked, { mine: 50, others: 40 })
  slow.open()
  for (const stream of streams) stream.destroy()
})

t.test('messages that arrive while the event loop is blocked are all answered, and no connection is closed', async t => {
  const isFull = process.env.FULL === '1'
  const [neighbours, blocks, ms] = isFull ? [1_000, 5, 3_000] : [20, 1, 4_000]
  const app = await AppProcess.start(t)
  const clients = await Promise.all(Array.from({ length: neighbours }, (_, n) => connect(t, app.url + path(`u${n}`))))
  let sent = 0
  const sending = setInterval(() => {
    sent++
    for (const client of clients) client.send({ type: 'ping', ref: sent })
  }, 1_000 / 15)
  for (let n = 0; n < blocks; n++) {
    await app.post('/block', { ms })
    await clients[0].until(() => clients[0].received.at(-1)?.ref === sent)
  }
  clearInterval(sending)
  t.ok(sent > blocks * ms / 1_000 * 10)
  for (const client of clients) await client.until(() => client.received.at(-1)?.ref === sent)
  const pongs = clients.map(({ received }) => received.filter(({ type }) => type === 'pong').length)
  t.ok(every(pongs, count => count === sent), `${Math.min(...pongs)} of ${sent} are answered`)
  t.equal((await app.stats()).connections, neighbours)
})

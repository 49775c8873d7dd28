import { once } from 'node:events'
import net, { type AddressInfo } from 'node:net'
import t from 'tap'
import { WebSocket } from 'ws'
import { createClient, type Envelope } from '../../lib/client/index.js'
import type { ChatAddress } from '../../lib/index.js'
import { createPublisher } from '../../lib/publisher.js'
import { every } from '../every.js'
import { connect, outcome } from '../harness.js'
import { AppProcess } from '../process.js'
import { RedisServer, skipRedis } from '../redis-server.js'
import { eventually } from '../waiting.js'

/** `FULL=1` kills as often as the promise says, and asks for its time: alone on a machine. */
const isFull = process.env.FULL === '1'
const kills = isFull ? 50 : 2
const catchUp = isFull ? 1_000 : 5_000
const users = Array.from({ length: 10 }, (_, n) => `user_${n}`)

/** What stands before the nodes: a connection goes to the next one that answers. */
async function balance (t: { teardown (action: () => unknown): void }, ports: () => number[]): Promise<number> {
  let next = 0
  const server = net.createServer(client => {
    client.on('error', () => {})
    const first = next++
    const connect = (attempt: number) => {
      const node = net.connect(ports()[(first + attempt) % ports().length], '127.0.0.1')
      const onRefused = () => attempt + 1 < ports().length ? connect(attempt + 1) : client.destroy()
      node.on('error', onRefused)
      node.on('connect', () => {
        node.off('error', onRefused).on('error', () => {})
        node.on('close', () => client.destroy())
        client.on('close', () => node.destroy())
        if (client.destroyed) node.destroy()
        else client.pipe(node).pipe(client)
      })
    }
    connect(0)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  return (server.address() as AddressInfo).port
}

/** Codes of Closes that turned a client away. */
const refusals: number[] = []

class WatchedSocket extends WebSocket {
  constructor (url: string, protocols?: string[]) {
    super(url, protocols)
    this.on('close', code => { if (code > 4_000) refusals.push(code) })
  }
}

class Listener {
  readonly numbers: number[] = []
  readonly notRecovered: unknown[] = []
  /** From when each that came since it was connected anew was sent, in milliseconds. */
  late: number[] = []
  /** How long it was behind, each time that it lost its connection. */
  readonly outages: number[] = []
  readonly client

  constructor (port: number, userId: string) {
    this.client = createClient({ baseUrl: `http://127.0.0.1:${port}/ws`, userId, WebSocket: WatchedSocket, backoff: () => 50 + Math.random() * 100 })
    this.client.on('count', data => {
      const { n, at } = data as { n: number, at: number }
      this.numbers.push(n)
      this.late.push(performance.now() - at)
    })
    this.client.onResume(resumed => {
      if (!resumed.recovered) this.notRecovered.push(resumed)
      this.settle()
      this.#isBack = true
    })
  }

  #isBack = false

  settle (): void {
    if (this.#isBack) this.outages.push(Math.max(...this.late))
    this.late = []
    this.#isBack = false
  }
}

/** A run on a node that will be killed, and who follows it. */
class Followed {
  readonly received: Array<Envelope & { data: Record<string, any> }> = []
  readonly client
  #killedAt = Infinity
  /** From when its node was killed, in milliseconds. */
  endedAfter: number | undefined

  constructor (port: number, chat: ChatAddress) {
    const { userId, ...rest } = chat
    this.client = createClient({ baseUrl: `http://127.0.0.1:${port}/ws`, userId, chat: rest, WebSocket: WatchedSocket, backoff: () => 50 + Math.random() * 100 })
    this.client.on('*', message => {
      this.received.push(message as never)
      if (message.type !== 'run_finished') return
      this.endedAfter ??= performance.now() - this.#killedAt
      // So that no more than those of the last seconds come back with each kill; a second end would come with the first.
      setTimeout(() => this.client.close(), 1_000)
    })
  }

  has (type: string): boolean {
    return this.received.some(message => message.type === type)
  }

  onKilled (): void {
    this.#killedAt = performance.now()
  }
}

t.test(`a node is killed under 1,000 messages a second, ${kills} times: clients go on at the other`, { skip: skipRedis }, async t => {
  const { url } = await RedisServer.start(t)
  // Ten seconds of it.
  const history = { size: 1_000 }
  const options = { redis: { url, history } }
  const nodes = [await AppProcess.startPlain(t, options), await AppProcess.startPlain(t, options)]
  const port = await balance(t, () => nodes.map(node => node.port))
  const listeners = users.map(user => new Listener(port, user))
  t.teardown(() => listeners.forEach(({ client }) => client.close()))
  await Promise.all(listeners.map(({ client }) => client.connected()))

  const publisher = createPublisher({ url, history })
  t.teardown(() => publisher.close())
  const failures: unknown[] = []
  let sent = 0
  const timer = setInterval(() => {
    for (let n = 0; n < 10; n++) {
      const data = { n: Math.floor(sent / users.length), at: performance.now() }
      publisher.sendToUser(users[sent++ % users.length], { type: 'count', data }).catch(error => failures.push(error))
    }
  }, 10)
  t.teardown(() => clearInterval(timer))

  const runs: Followed[] = []
  for (let n = 0; n < kills; n++) {
    const before = listeners.map(({ numbers }) => numbers.length)
    await eventually(() => listeners.every(({ numbers }, at) => numbers.length > before[at] + 20))
    const killed = nodes[n % 2]
    const address = { workflow: 'w', appId: 'a', chatId: 'c', userId: `ada_${n}` }
    const followed = new Followed(port, address)
    t.teardown(() => followed.client.close())
    runs.push(followed)
    await killed.post('/run', address)
    await eventually(() => followed.has('chat_delta'))
    followed.onKilled()
    killed.child.kill('SIGKILL')
    await once(killed.child, 'exit')
    nodes[n % 2] = await AppProcess.startPlain(t, options)
  }
  clearInterval(timer)
  const each = sent / users.length
  await eventually(() => listeners.every(({ numbers }) => numbers.length >= each))
  t.strictSame(failures, [])
  t.strictSame(refusals, [], 'nobody is refused because of those who are dead')
  for (const { numbers, notRecovered } of listeners) {
    t.ok(every(numbers, (number, at) => number === at), 'all, once, and in order')
    t.strictSame(notRecovered, [])
  }
  for (const listener of listeners) listener.settle()
  const outages = listeners.flatMap(({ outages }) => outages).sort((a, b) => a - b)
  const [p50, p99] = [0.5, 0.99].map(part => Math.round(outages[Math.floor(outages.length * part)]))
  t.ok(outages.length >= kills)
  t.ok(p99 < catchUp, `${outages.length} times somebody was behind, p50 ${p50} ms, p99 ${p99} ms`)

  await eventually(() => runs.every(run => run.has('run_finished')), 30_000)
  const latest = Math.round(Math.max(...runs.map(({ endedAfter }) => endedAfter!)))
  t.ok(latest < 15_000 + (isFull ? 0 : 5_000), `the last run was ended after ${latest} ms`)
  for (const { received } of runs) {
    t.strictSame(received.filter(({ type }) => type === 'run_finished').map(({ data }) => data.status), ['interrupted'])
    let text = ''
    for (const { type, data } of received) {
      if (type === 'chat_delta') text = text.slice(0, data.at) + data.text
      if (type === 'chat_message' && data.status === 'streaming') text = data.content
    }
    t.match(received.findLast(({ type }) => type === 'chat_message'), { data: { content: text, status: 'interrupted' } }, 'with all that was written')
  }
})

t.test('a user at the limit of connections is not refused when the node of these is killed, and is while it is there', { skip: skipRedis }, async t => {
  const { url } = await RedisServer.start(t)
  const limit = 5
  const options = { redis: { url }, limits: { connectionsPerUser: limit } }
  const [killed, other] = await Promise.all([1, 2].map(() => AppProcess.startPlain(t, options)))
  const path = '/ws/notifications/ada'
  const times = Array.from({ length: limit })
  await Promise.all(times.map(() => connect(t, `ws://127.0.0.1:${killed.port}${path}`)))
  t.equal(await outcome(`ws://127.0.0.1:${other.port}${path}`), 4429)
  killed.child.kill('SIGKILL')
  await once(killed.child, 'exit')
  const start = performance.now()
  await Promise.all(times.map(() => connect(t, `ws://127.0.0.1:${other.port}${path}`)))
  t.ok(performance.now() - start < 2_500, `all are back after ${Math.round(performance.now() - start)} ms`)
  t.equal(await outcome(`ws://127.0.0.1:${other.port}${path}`), 4429)
})

t.test('connections of a node that only paused give way, and count again when it goes on', { skip: skipRedis }, async t => {
  const { url } = await RedisServer.start(t)
  const options = { redis: { url }, limits: { connectionsPerUser: 2 } }
  const [paused, other] = await Promise.all([1, 2].map(() => AppProcess.startPlain(t, options)))
  const path = '/ws/notifications/ada'
  const stays = await Promise.all([1, 2].map(() => connect(t, `ws://127.0.0.1:${paused.port}${path}`)))
  paused.child.kill('SIGSTOP')
  const more = await connect(t, `ws://127.0.0.1:${other.port}${path}`)
  paused.child.kill('SIGCONT')
  more.socket.terminate()
  await eventually(async () => await outcome(`ws://127.0.0.1:${other.port}${path}`) === 4429)
  t.ok(every(stays, ({ closed }) => closed === undefined))
})

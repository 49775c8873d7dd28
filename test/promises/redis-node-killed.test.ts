import { once } from 'node:events'
import t from 'tap'
import { WebSocket } from 'ws'
import { createClient, type Envelope } from '../../lib/client/index.js'
import type { ChatAddress } from '../../lib/index.js'
import { createPublisher } from '../../lib/publisher.js'
import { balance } from '../balance.js'
import { every } from '../every.js'
import { connect, outcome } from '../harness.js'
import { AppProcess } from '../process.js'
import { RedisServer, skipRedis } from '../redis-server.js'
import { eventually } from '../waiting.js'

/** With `FULL=1` the number of kills and the time limit are the promised ones. Needs a machine without other load. */
const isFull = process.env.FULL === '1'
const kills = isFull ? 50 : 1
const catchUp = isFull ? 1_000 : 5_000
const users = Array.from({ length: 10 }, (_, n) => `user_${n}`)

/** Close codes with which clients were refused. */
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
  /** Age of each message received since the last reconnect, in ms. */
  late: number[] = []
  /** Maximum age of a message after each loss of the connection, in ms. */
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

/** A client that follows a run on a node that will be killed. */
class Followed {
  readonly received: Array<Envelope & { data: Record<string, any> }> = []
  readonly client
  #killedAt = Infinity
  /** Time from the kill of the node to the end of the run, in ms. */
  endedAfter: number | undefined

  constructor (port: number, chat: ChatAddress) {
    const { userId, ...rest } = chat
    this.client = createClient({ baseUrl: `http://127.0.0.1:${port}/ws`, userId, chat: rest, WebSocket: WatchedSocket, backoff: () => 50 + Math.random() * 100 })
    this.client.on('*', message => {
      this.received.push(message as never)
      if (message.type !== 'run_finished') return
      this.endedAfter ??= performance.now() - this.#killedAt
      // Closes soon, so that few of these clients reconnect at each kill. A second end would arrive with the first.
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

t.test(`clients of a node that is killed ${kills} times under load resume on the other node without loss`, { skip: skipRedis }, async t => {
  const { url } = await RedisServer.start(t)
  // The messages of 10 s.
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
  t.strictSame(refusals, [], 'connections of a killed node do not lead to refusals')
  for (const { numbers, notRecovered } of listeners) {
    t.ok(every(numbers, (number, at) => number === at), 'all messages arrive once and in order')
    t.strictSame(notRecovered, [])
  }
  for (const listener of listeners) listener.settle()
  const outages = listeners.flatMap(({ outages }) => outages).sort((a, b) => a - b)
  const [p50, p99] = [0.5, 0.99].map(part => Math.round(outages[Math.floor(outages.length * part)]))
  t.ok(outages.length >= kills)
  t.ok(p99 < catchUp, `${outages.length} outages, p50 ${p50} ms, p99 ${p99} ms`)

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
    t.match(received.findLast(({ type }) => type === 'chat_message'), { data: { content: text, status: 'interrupted' } }, 'the message has all of the written text')
  }
})

t.test('a user at the connection limit is refused while the node of these connections runs, and admitted when it is killed', { skip: skipRedis }, async t => {
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
  t.ok(performance.now() - start < 2_500, `all reconnected after ${Math.round(performance.now() - start)} ms`)
  t.equal(await outcome(`ws://127.0.0.1:${other.port}${path}`), 4429)
})

t.test('connections of a paused node do not count against the limit until the node continues', { skip: skipRedis }, async t => {
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

import { once } from 'node:events'
import net, { type AddressInfo } from 'node:net'
import t from 'tap'
import { WebSocket } from 'ws'
import { createClient } from '../../lib/client/index.js'
import { createPublisher } from '../../lib/publisher.js'
import { AppProcess } from '../process.js'
import { RedisServer, skipRedis, until } from '../redis-server.js'

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
    const connect = (attempt: number) => {
      const node = net.connect(ports()[next++ % ports().length], '127.0.0.1')
      const onRefused = () => attempt < ports().length ? connect(attempt + 1) : client.destroy()
      node.on('error', onRefused)
      node.on('connect', () => {
        node.off('error', onRefused).on('error', () => {})
        node.on('close', () => client.destroy())
        client.on('close', () => node.destroy())
        if (client.destroyed) node.destroy()
        else client.pipe(node).pipe(client)
      })
    }
    connect(1)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  return (server.address() as AddressInfo).port
}

class Listener {
  readonly numbers: number[] = []
  readonly notRecovered: unknown[] = []
  readonly late: number[] = []
  readonly client

  constructor (port: number, userId: string) {
    this.client = createClient({ baseUrl: `http://127.0.0.1:${port}/ws`, userId, WebSocket, backoff: () => 50 + Math.random() * 100 })
    this.client.on('count', data => {
      const { n, at } = data as { n: number, at: number }
      this.numbers.push(n)
      this.late.push(performance.now() - at)
    })
    this.client.onResume(resumed => { if (!resumed.recovered) this.notRecovered.push(resumed) })
  }
}

t.test(`a node is killed under 1,000 messages a second, ${kills} times: clients go on at the other`, { skip: skipRedis }, async t => {
  const { url } = await RedisServer.start(t)
  const options = { redis: { url, history: { size: 5_000 } } }
  const nodes = [await AppProcess.start(t, options), await AppProcess.start(t, options)]
  const port = await balance(t, () => nodes.map(node => node.port))
  const listeners = users.map(user => new Listener(port, user))
  t.teardown(() => listeners.forEach(({ client }) => client.close()))
  await Promise.all(listeners.map(({ client }) => client.connected()))

  const publisher = createPublisher({ url, history: { size: 5_000 } })
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

  for (let n = 0; n < kills; n++) {
    const before = listeners.map(({ numbers }) => numbers.length)
    await until(() => listeners.every(({ numbers }, at) => numbers.length > before[at] + 20))
    const killed = nodes[n % 2]
    killed.child.kill('SIGKILL')
    await once(killed.child, 'exit')
    nodes[n % 2] = await AppProcess.start(t, options)
  }
  clearInterval(timer)
  const each = sent / users.length
  await until(() => listeners.every(({ numbers }) => numbers.length >= each))
  t.strictSame(failures, [])
  for (const { numbers, notRecovered } of listeners) {
    t.ok(numbers.every((number, at) => number === at), 'all, once, and in order')
    t.strictSame(notRecovered, [])
  }
  const late = listeners.flatMap(({ late }) => late).sort((a, b) => a - b)
  const p99 = Math.round(late[Math.floor(late.length * 0.99)])
  t.ok(p99 < catchUp, `p99 of all, those caught up with included: ${p99} ms`)
})

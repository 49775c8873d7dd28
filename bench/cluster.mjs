// Two nodes and a Redis: the cost of a message on all three, from its publication on one node to a connection on each node.
import os from 'node:os'
import { noRedis, RedisServer } from './redis.mjs'
import { profile, whileRunning, Worker } from './worker.mjs'

/** With four cores each process has its own. With two, each node has one, and Redis and the clients share both. */
const cores = os.cpus().length >= 4 ? { nodes: ['0', '1'], redis: '2', clients: '3' } : { nodes: ['0', '1'], redis: '0,1', clients: '0,1' }

const users = 50
/** Maximum number of messages in progress per node: half of the queue of our server. */
const window = 500
/** Number of received frames after which the clients report them. */
const tellEvery = 100

class Cluster {
  #kind
  #redis
  #nodes = []
  #ports
  #client
  #expected = 0

  constructor (kind) {
    this.#kind = kind
  }

  /** Starts Redis, then nodes and clients. `build`: folder of the build that `ours` loads. */
  async start (build) {
    this.#redis = await RedisServer.start(cores.redis)
    const options = JSON.stringify({ redis: this.#redis.url, ...build && { build } })
    this.#nodes = cores.nodes.map(core => new Worker('server.mjs', [this.#kind, options], core, profile))
    this.#client = new Worker('client.mjs', [], cores.clients)
    this.#client.on(({ told }) => {
      if (told !== undefined) for (const node of this.#nodes) node.send({ call: 'told', told })
    })
  }

  get workers () { return [...this.#nodes, this.#client] }

  /** Connects each user to each node. */
  async connect (isTimed) {
    this.#ports = await Promise.all(this.#nodes.map(node => node.first('port')))
    const kind = this.#kind
    const pathOf = user => kind === 'socket-io' ? `/socket.io/?EIO=4&transport=websocket&user=${user}` : `/ws/notifications/${user}`
    const list = this.#ports.flatMap(port => Array.from({ length: users }, (_, n) => ({ port, kind, path: pathOf(`u${n}`), isTimed })))
    await this.#client.call({ call: 'connect', list })
    if (kind === 'socket-io') await this.#client.call({ call: 'tell', every: tellEvery })
  }

  async #cpu () {
    const micros = ({ user, system }) => user + system
    const nodes = await Promise.all(this.#nodes.map(node => node.call({ call: 'cpu' })))
    const client = await this.#client.call({ call: 'state' })
    return { nodes: nodes.map(micros), redis: this.#redis.cpu(), client: micros(client.cpu) }
  }

  /** Makes both nodes publish, and waits until the clients have all messages. */
  async run (job, args) {
    await this.#client.call({ call: 'forget' })
    const before = await this.#cpu()
    const start = performance.now()
    const sent = await Promise.all(this.#nodes.map(node => node.call({ call: 'publish', job, args })))
    const messages = sent.reduce((sum, count) => sum + count)
    await this.#delivered(messages * this.#nodes.length)
    const wall = performance.now() - start
    const after = await this.#cpu()
    const state = await this.#checked()
    const nodes = after.nodes.map((cpu, n) => (cpu - before.nodes[n]) / messages)
    const redis = (after.redis - before.redis) / messages
    return {
      messages,
      wall,
      state,
      cpu: {
        'cpu µs': nodes[0] + nodes[1] + redis,
        'node 1 µs': nodes[0],
        'node 2 µs': nodes[1],
        'redis µs': redis,
        'client cpu %': (after.client - before.client) / wall / 10
      }
    }
  }

  async #delivered (frames) {
    this.#expected += frames
    const delivered = this.#client.first('delivered')
    this.#client.send({ call: 'expect', expect: this.#expected })
    let timer
    const late = new Promise(resolve => { timer = setTimeout(resolve, 20_000) })
    await Promise.race([delivered, late])
    clearTimeout(timer)
  }

  /** Throws unless each message has arrived exactly once on each node: the measurement would be invalid. */
  async #checked () {
    await new Promise(resolve => setTimeout(resolve, 200))
    const state = await this.#client.call({ call: 'state' })
    if (state.received === this.#expected) return state
    const counters = await Promise.all(this.#nodes.map(node => node.call({ call: 'counters' })))
    throw new Error(`${this.#kind}: ${state.received} of ${this.#expected} were received. ${JSON.stringify(counters)}`)
  }

  async end () {
    await this.#client?.end()
    await Promise.all(this.#nodes.map(node => node.end()))
    await this.#redis?.end()
  }
}

/** Runs a workload in a cluster of its own. */
const inCluster = (isTimed, measure) => async (kind, build) => {
  const cluster = new Cluster(kind)
  try {
    await cluster.start(build)
    return await whileRunning(cluster.workers, async () => {
      await cluster.connect(isTimed)
      return await measure(cluster)
    })
  } finally {
    await cluster.end()
  }
}

// Each message arrives on two nodes, and each node publishes half of the messages.
const flooding = { window, told: 1 / 4 }

const flood = async cluster => {
  await cluster.run('flood', { ...flooding, seconds: 2 })
  const { messages, wall, cpu } = await cluster.run('flood', { ...flooding, seconds: 4 })
  return { 'messages/s': messages / wall * 1_000, ...cpu }
}

const paced = async cluster => {
  await cluster.run('flood', { ...flooding, seconds: 1 })
  const { messages, state, cpu } = await cluster.run('paced', { perSecond: 500, seconds: 5 })
  return { ...cpu, 'p50 ms': state.latencyP50, 'p99 ms': state.latencyP99, messages }
}

const kinds = ['ours', 'socket-io']

export const clusterWorkloads = [
  {
    name: 'C1',
    title: 'two nodes and Redis, to random users of 50 with a connection on each node, as much as goes',
    figure: ['cpu µs', 'messages/s'],
    kinds,
    missing: noRedis,
    run: inCluster(false, flood)
  },
  {
    name: 'C2',
    title: 'the same at 1,000 messages/s',
    figure: ['cpu µs', 'p50 ms', 'p99 ms'],
    kinds,
    missing: noRedis,
    run: inCluster(true, paced)
  }
]

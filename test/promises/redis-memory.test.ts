import { once } from 'node:events'
import t from 'tap'
import { WebSocket } from 'ws'
import { AppProcess } from '../process.js'
import { ChaosProxy, RedisServer, skipRedis } from '../redis-server.js'
import { eventually } from '../waiting.js'

/** Durations in ms. With `FULL=1` all loads run, and the faults are as long as promised. */
const isFull = process.env.FULL === '1'
const time = isFull
  ? { warm: 20_000, stop: 30_000, partition: 10_000 }
  : { warm: 2_000, stop: 2_500, partition: 2_500 }
const users = 10

/** Each node sends `count` messages every 10 ms, and `away` messages while Redis is away. */
const loads = [
  { bytes: 200, count: 10, away: 200 },
  { bytes: 200, count: 10, away: 10 },
  { bytes: 20_000, count: 2, away: 2 },
  { bytes: 100_000, count: 1, away: 1 }
]

interface Outcomes {
  outcomes: Record<string, number>
  longest: number
}

const mib = (bytes: number) => Math.round(bytes / 1024 / 1024 * 10) / 10

/** A node under load, with a connection of each user. */
class LoadedNode {
  readonly #app: AppProcess
  #before = 0
  #peak = 0

  private constructor (app: AppProcess) {
    this.#app = app
  }

  static async start (t: { teardown (action: () => unknown): void }, url: string): Promise<LoadedNode> {
    const app = await AppProcess.startPlain(t, { redis: { url, history: { size: 20 } } })
    for (let n = 0; n < users; n++) {
      const socket = new WebSocket(`${app.url}/ws/notifications/user_${n}`)
      t.teardown(() => socket.terminate())
      await once(socket, 'open')
    }
    return new LoadedNode(app)
  }

  load (count: number, bytes: number): Promise<unknown> {
    return this.#app.post('/load', { count, bytes, users })
  }

  outcomes (): Promise<Outcomes> {
    return this.#app.post('/outcomes', {}) as Promise<Outcomes>
  }

  /** Takes the current memory as the baseline. */
  async begin (): Promise<void> {
    await this.outcomes()
    this.#before = (await this.#app.usage()).memory
    this.#peak = 0
  }

  async look (): Promise<void> {
    this.#peak = Math.max(this.#peak, (await this.#app.usage()).memory)
  }

  /** Growth of the memory since the baseline in bytes, without garbage. */
  get growth (): number {
    return this.#peak - this.#before
  }
}

for (const { bytes, count, away } of isFull ? loads : loads.slice(0, 1)) {
  t.test(`without Redis nodes grow by under 16 MiB at ${away * 100} messages of ${bytes} bytes a second`, { skip: skipRedis }, async t => {
    const server = await RedisServer.start(t)
    const proxy = await ChaosProxy.start(t, server.port)
    const nodes = await Promise.all([proxy.url, server.url].map(url => LoadedNode.start(t, url)))
    const forAll = <T>(action: (node: LoadedNode) => Promise<T>) => Promise.all(nodes.map(action))
    const watch = async (ms: number) => {
      for (const end = performance.now() + ms; performance.now() < end;) {
        // The interval of the measurements.
        await new Promise(resolve => setTimeout(resolve, 250))
        await forAll(node => node.look())
      }
    }
    const during = async (fault: string, ms: number, begin: () => void, end: () => void) => {
      await forAll(node => node.load(count, bytes))
      const isWell = ({ outcomes: { stored, ...others } }: Outcomes) => stored > 0 && Object.keys(others).length === 0
      await eventually(async () => (await forAll(node => node.outcomes())).every(isWell))
      await watch(time.warm)
      await forAll(node => node.begin())
      begin()
      await forAll(node => node.load(away, bytes))
      await watch(ms)
      end()
      await forAll(node => node.load(count, bytes))
      await watch(2_000)
      for (const [at, node] of nodes.entries()) {
        const { longest, outcomes } = await node.outcomes()
        t.ok(outcomes.stored > 0, `${fault}: node ${at} stores messages again`)
        t.ok(node.growth < 16 * 1024 * 1024, `${fault}: node ${at} grew by ${mib(node.growth)} MiB, ${JSON.stringify(outcomes)}`)
        t.ok(longest < 2_000, `${fault}: every outcome is known after ${Math.round(longest)} ms`)
      }
    }
    await during('stopped', time.stop, () => server.stop(), () => server.goOn())
    await during('cut off from one node', time.partition, () => proxy.hold(), () => proxy.release())
    await forAll(node => node.load(0, 0))
  })
}

import Fastify from 'fastify'
import t from 'tap'
import fp from 'fastify-plugin'
import type { Broker } from '../lib/brokers/broker.js'
import type { Frame, FrameOf, LogLimits, Reader } from '../lib/logs/log.js'
import { Log } from '../lib/logs/log.js'
import { plugin, type CreateModule, type PluginOptions } from '../lib/plugin.js'
import { isId } from '../lib/protocol/ids.js'
import { redisBroker } from '../lib/redis.js'
import type { ChannelKind, ChannelPath } from '../lib/server/kinds.js'
import { Client, connect } from './harness.js'
import { lifetimeOf, RedisServer, skipRedis } from './redis-server.js'
import { eventually } from './waiting.js'

interface TickerTarget {
  readonly kind: 'ticker'
  readonly symbol: string
  readonly userId: string
}

declare module '../lib/server/target.js' {
  interface Targets { ticker: TickerTarget }
}

/** Keeps only the newest price. A reader that is behind skips to it, and is never lost. */
class TickerLog extends Log {
  #newest: { frame: Frame, time: number } | undefined

  get length (): number { return this.#newest === undefined ? 0 : 1 }
  get evicted (): number { return 0 }
  get beginning (): number { return 0 }

  append (body: string, now: number): void {
    this.shift()
    this.head++
    const frame = this.frameOf(this.position, body) as Frame
    this.#newest = { frame, time: now }
    this.bytes = frame.length
    this.wakeAll()
  }

  expire (now: number): void {
    if (this.#newest !== undefined && this.#newest.time < now - this.limits.ttl) this.shift()
  }

  trim (): void {}

  shift (): number {
    const freed = this.bytes
    this.clear()
    this.bytes = 0
    return freed
  }

  behind ({ offset }: Reader): number {
    return offset < this.head ? this.length : 0
  }

  read (reader: Reader): Frame {
    if (reader.offset === this.head) return ''
    reader.offset = this.head
    return this.#newest?.frame ?? ''
  }

  protected clear (): void {
    this.#newest = undefined
  }
}

const logs: TickerLog[] = []

/** A channel kind that lib does not contain: prices, which clients can set. */
const ticker: CreateModule = ({ publisher }) => {
  const kind: ChannelKind = {
    name: 'ticker',
    label: 'k',
    start: 'beginning',
    retention: { size: 1, ttl: 60_000 },
    createLog (epoch: string, limits: LogLimits, frameOf: FrameOf) {
      const log = new TickerLog(epoch, limits, frameOf)
      logs.push(log)
      return log
    },
    rows: new Map([['set_price', {
      handle: async ({ data }, { channel, userId }) => { await publisher.publish(kind, channel, { type: 'price', data: { price: data, by: userId } }) }
    }]])
  }
  const path: ChannelPath<TickerTarget> = {
    url: '/ticker/:symbol/:user_id',
    kinds: [kind],
    parse ([name, symbol, userId, ...more]) {
      if (name !== 'ticker' || userId === undefined || more.length > 0) return undefined
      return isId(symbol) && isId(userId) ? { kind: 'ticker', symbol, userId } : 'invalid'
    },
    channelsOf: ({ symbol }) => [`ticker:${symbol}`]
  }
  return { kinds: [kind], paths: [path] }
}

async function start (t: { teardown (action: () => unknown): void }, broker?: Broker) {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(fp((fastify, options: PluginOptions) => plugin(fastify, options, [ticker])), { ...broker && { broker } })
  const address = await app.listen({ port: 0, host: '127.0.0.1' })
  return { app, url: `${address.replace('http', 'ws')}/ws` }
}

t.test('a channel kind that lib does not contain has its own path, log, retention and handler', async t => {
  logs.length = 0
  const { app, url } = await start(t)
  const ada = await connect(t, `${url}/ticker/acme/ada`)
  t.match(ada.ack.data, { user_id: 'ada', position: /^k\.\w+\.0$/ })
  t.equal(app.ws.connections('ada')[0].target.kind, 'ticker')
  for (const price of [1, 2, 3]) {
    ada.send({ type: 'set_price', ref: price, data: price })
    t.match(await ada.next('ack'), { ref: price })
  }
  await eventually(() => ada.received.filter(({ type }) => type === 'price').length === 3)

  const late = await connect(t, `${url}/ticker/acme/bob`)
  const first = await late.next('price')
  t.match(first, { data: { price: 3, by: 'ada' }, id: /^k\.\w+\.3$/ }, 'a client that connects late gets only the newest price')
  late.socket.terminate()
  ada.send({ type: 'set_price', data: 4 })
  const again = await connect(t, `${url}/ticker/acme/bob?since=${first.id}`)
  t.match(again.ack.data, { recovered: true })
  t.match(await again.next('price'), { data: { price: 4 } })
  t.match(logs.map(({ limits }) => limits), [{ size: 1, ttl: 60_000 }])

  t.match(await refusal(t, `${url}/notifications/ada`), /'set_price' is for tickers only\. Connect to \/ticker\/:symbol\/:user_id/)
  t.match(await refusal(t, `${url}/w/a/c/ada`), /'set_price' is for tickers only/)
  ada.send({ type: 'chat_cancel', ref: 'x' })
  t.match(await ada.next('error'), { data: { code: 'unknown_type', message: /for chats only/ } })
  t.equal((await app.inject('/ws/ticker/a b/ada')).statusCode, 400)
})

/** Error message that a client on another path gets when it sets a price. */
async function refusal (t: Parameters<typeof connect>[0], url: string): Promise<string> {
  const client: Client = await connect(t, url)
  client.send({ type: 'set_price', ref: 1, data: 1 })
  const { data } = await client.next('error')
  return (data as { message: string }).message
}

t.test('the retention of a channel kind is stored with the channel in Redis', { skip: skipRedis }, async t => {
  const server = await RedisServer.start(t)
  const [here, there] = await Promise.all([1, 2].map(() => start(t, redisBroker({ url: server.url }))))
  const ada = await connect(t, `${here.url}/ticker/acme/ada`)
  const bob = await connect(t, `${there.url}/ticker/acme/bob`)
  for (let price = 1; price <= 20; price++) {
    ada.send({ type: 'set_price', ref: price, data: price })
    await ada.next('ack')
  }
  await eventually(() => bob.received.some(({ data }) => (data as { price?: number } | undefined)?.price === 20))
  const client = server.client(t)
  const [stream] = (await client.keys('*')).filter(key => key.includes(Buffer.from('ticker:acme').toString('base64url')) && !key.endsWith(':meta'))
  t.equal(await client.hget(`${stream}:meta`, 'r'), `1 60000 ${4 * 1024 * 1024}`)
  t.ok(await lifetimeOf(client, stream) <= 60_000)
})

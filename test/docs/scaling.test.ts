import { EventEmitter, once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { FastifyRequest } from 'fastify'
import t from 'tap'
import { defaultStored } from '../../lib/brokers/redis/publishing/quota.js'
import { Retentions } from '../../lib/brokers/redis/retention.js'
import { chatRetention } from '../../lib/chat/retention.js'
import { createPublisher } from '../../lib/publisher.js'
import { redisBroker } from '../../lib/redis.js'
import { connect, outcome, start } from '../harness.js'
import { Nginx, skipNginx } from '../nginx.js'
import { RedisServer, skipRedis, startCluster } from '../redis-server.js'
import { eventually } from '../waiting.js'
import { every } from '../every.js'
import { root } from '../root.js'
import { Page } from './page.js'

const page = new Page('docs/scaling.md')

t.test('the snippets of a server and of a worker reach users on all nodes', { skip: skipRedis }, async t => {
  const redis = await RedisServer.start(t)
  process.env.REDIS_URL = redis.url
  t.teardown(() => { delete process.env.REDIS_URL })
  const nodes = [await page.serve(t, 'redis'), await page.serve(t, 'redis')]
  const clients = await Promise.all(nodes.map(({ url }) => connect(t, `${url}/notifications/user_123`)))
  await page.run(t, 'publisher')
  const [first, second] = await Promise.all(clients.map(client => client.next('notification')))
  t.match(first, { data: { title: 'Your report is ready' }, id: second.id })
  const names = await redis.client(t).keys('*')
  t.ok(every(names, name => name.startsWith('realtime:')), 'names in Redis begin with the prefix')
})

t.test('the snippet for a Cluster connects nodes, and its own client stays closed', { skip: skipRedis }, async t => {
  const { servers: [{ port }] } = await startCluster(t)
  const replace = { "{ host: 'redis.example', port: 6379 }": `{ host: '127.0.0.1', port: ${port} }` }
  const { app, client } = await page.run(t, 'cluster', { replace })
  t.teardown(() => app.close())
  const { url } = await page.serve(t, 'cluster', { replace })
  const ada = await connect(t, `${url}/notifications/ada`)
  const { id } = await app.ws.sendToUser('ada', { type: 'notification', data: { title: 'Hello' } })
  t.equal((await ada.next()).id, id)
  t.equal(client.status, 'wait')
})

/** Names of all options, as the error about an unknown one lists them. */
function optionsOf (create: (options: any) => unknown): string[] {
  try {
    create({ xxxxxxxxxxxx: 1 })
  } catch (error) {
    const [, list] = (error as Error).message.split('The options are ')
    return [...list.matchAll(/'(\w+)'/g)].map(([, name]) => name)
  }
  throw new Error('an unknown option was accepted')
}

/** Default of a destructured option, as the source of lib has it; a product is computed. */
function defaultIn (file: string, name: string): string {
  const [, value] = new RegExp(`\\b${name} = ([^,]+),`).exec(readFileSync(join(root, 'lib', file), 'utf8'))!
  return /^[\d_ *]+$/.test(value) ? String(value.split('*').reduce((product, factor) => product * Number(factor.replaceAll('_', '')), 1)) : value
}

t.test('the table of options has every option of the broker and of the publisher, with its default', async t => {
  const rows = page.table('## Options of the broker and the publisher', '| Option | For | Default | Meaning |')
  const namesFor = (owner: string) => rows.filter(([, of]) => of === 'both' || of === owner).map(([name]) => name.replaceAll('`', ''))
  t.same(namesFor('broker'), optionsOf(redisBroker))
  t.same(namesFor('publisher'), optionsOf(createPublisher))

  const numbered = (value: number) => value.toLocaleString('en')
  const retained = ({ size, ttl, bytes }: { size: number, ttl: number, bytes: number }) =>
    `${numbered(size)} publications, ${numbered(ttl / 1_000)} s, ${bytes / 2 ** 20} MiB`
  const inCode = (value: string) => `\`${value}\``
  t.same(Object.fromEntries(rows.map(([name, , value]) => [name.replaceAll('`', ''), value])), {
    client: '–',
    url: '–',
    prefix: inCode(defaultIn('publisher.ts', 'prefix')),
    history: retained(new Retentions().defaults.stream),
    chat: retained(chatRetention().stored as { size: number, ttl: number, bytes: number }),
    lag: inCode(defaultIn('brokers/redis/broker.ts', 'lag')),
    channels: inCode(defaultIn('publisher.ts', 'channels')),
    messages: inCode(defaultIn('publisher.ts', 'messages')),
    strict: inCode(defaultIn('publisher.ts', 'strict')),
    maxBytes: inCode(defaultIn('publisher.ts', 'maxBytes')),
    stored: inCode(String(defaultStored)),
    log: 'process warnings'
  })
  t.equal(defaultIn('brokers/redis/broker.ts', 'prefix'), defaultIn('publisher.ts', 'prefix'))
  t.match(page.text, `The default is ${defaultStored / 2 ** 20} MiB`)
})

t.test('nginx with the configuration of the page passes on the upgrade, the Host and the address of the client', { skip: skipNginx }, async t => {
  const addresses: string[] = []
  const authenticate = ({ ip }: FastifyRequest) => {
    addresses.push(ip)
    return { userId: 'ada' }
  }
  const { port } = await start(t, { authenticate }, { trustProxy: true })
  const nginx = await Nginx.start(t, port)
  await connect(t, `${nginx.url}/ws/notifications/ada`, {
    origin: `http://127.0.0.1:${nginx.port}`,
    headers: { 'x-forwarded-for': '203.0.113.7' }
  })
  t.same(addresses, ['203.0.113.7'])

  const { port: inDevelopment } = await start(t)
  const other = await Nginx.start(t, inDevelopment)
  t.equal(await outcome(`${other.url}/ws/notifications/ada`), 403)
})

t.test('the snippet for a deployment sends what was accepted and closes with 1012', async t => {
  const process = new EventEmitter()
  const { app, url } = await page.serve(t, 'shutdown', { globals: { process } })
  const client = await connect(t, `${url}/notifications/ada`)
  await app.ws.sendToUser('ada', { type: 'last' })
  process.emit('SIGTERM')
  t.equal((await client.next()).type, 'last')
  t.match(await client.close(), { code: 1012, reason: /^retry_ms=\d+$/ })
})

t.test('the snippet that closes from a handler ends the server, by a message and by a request', async t => {
  const byMessage = await page.serve(t, 'close-from-handler')
  const client = await connect(t, `${byMessage.url}/notifications/ada`)
  client.send({ type: 'shut_down', ref: 's1' })
  t.match(await client.next(), { type: 'ack', ref: 's1' })
  t.equal((await client.close()).code, 1012)
  await once(byMessage.app.server, 'close')

  const byRoute = await page.serve(t, 'close-from-handler')
  const response = await fetch(`http://${byRoute.host}/shut-down`, { method: 'POST' })
  t.same(await response.json(), { closing: true })
  await eventually(() => !byRoute.app.server.listening)
})

t.test('every snippet of the page is run', { skip: skipRedis }, async t => { page.allRan(t) })

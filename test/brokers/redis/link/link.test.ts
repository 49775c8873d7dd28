import { once } from 'node:events'
import net, { type AddressInfo } from 'node:net'
import { Cluster, Redis } from 'ioredis'
import t from 'tap'
import { Health } from '../../../../lib/brokers/redis/link/health.js'
import { RedisLink } from '../../../../lib/brokers/redis/link/link.js'
import { appendScript as append } from '../../../../lib/brokers/redis/commands/append.js'
import { headsScript as heads } from '../../../../lib/brokers/redis/commands/heads.js'
import { found } from '../../../every.js'
import { startLink } from '../../../redis-nodes.js'
import { ChaosProxy, RedisServer, freePort, skipRedis, startCluster } from '../../../redis-server.js'
import { eventually } from '../../../waiting.js'

interface Scope {
  teardown (action: () => unknown): void
}

function observed (t: Scope, address: ConstructorParameters<typeof RedisLink>[0]) {
  const lines: string[] = []
  const write = (level: string) => (_fields: object, message: string) => { lines.push(`${level} ${message}`) }
  const health = new Health('t:', { error: write('error'), info: write('info') })
  const link = new RedisLink(address, health)
  t.teardown(() => link.end())
  return { lines, health, link }
}

t.test('a link does not connect before start', { skip: skipRedis }, async t => {
  const server = await RedisServer.start(t)
  const proxy = await ChaosProxy.start(t, server.port)
  const { link } = observed(t, { url: proxy.url })
  t.equal(link.client.status, 'wait')
  // When a second link is ready, the proxy would also have counted a connection of the first one.
  const other = startLink(t, { url: proxy.url })
  await eventually(() => other.link.isReady)
  t.equal(proxy.connections, 1)
  link.start()
  await eventually(() => link.isReady)
  t.equal(proxy.connections, 2)
})

t.test('a link loads scripts before their first use, and runs scripts that Redis does not know', { skip: skipRedis }, async t => {
  const { url } = await RedisServer.start(t)
  const { link, connection } = startLink(t, { url })
  await eventually(() => link.isReady)
  await eventually(async () => (await connection.script('EXISTS', append.sha) as number[])[0] === 1)
  await connection.script('FLUSH')
  t.strictSame(await link.run(heads, ['a'], [1_000]), ['', 0, ''])
  t.strictSame(await link.run(heads, ['a'], [1_000]), ['', 0, ''])
  await t.rejects(link.run(append, ['a'], []), { name: 'ReplyError' })
  t.ok(link.health.isFailing(append.name))
})

t.test('the health logs a command that fails, and one that works again', { skip: skipRedis }, async t => {
  const server = await RedisServer.start(t)
  const admin = server.client(t)
  const { lines, link } = observed(t, { url: server.url })
  link.start()
  await eventually(() => link.isReady)
  await admin.config('SET', 'maxmemory', '1')
  await t.rejects(link.ask('SET', link.client.set('a', 'x')), { message: /OOM/ })
  await admin.config('SET', 'maxmemory', '0')
  t.equal(await link.ask('SET', link.client.set('a', 'x')), 'OK')
  t.match(lines, [/^error realtime: Redis refuses commands: OOM/, /^info realtime: Redis: storing works again/])
})

t.test('an unreachable Redis is logged in one line, and its return in another', { skip: skipRedis }, async t => {
  const server = await RedisServer.start(t)
  const { lines, link } = observed(t, { url: server.url })
  link.start()
  await eventually(() => link.isReady)
  await server.kill()
  await eventually(() => lines.some(line => line.includes('ECONNREFUSED')))
  await server.restart()
  await eventually(() => lines.some(line => line.includes('the connection works again')))
  t.equal(lines.filter(line => line.includes('ECONNREFUSED')).length, 1)
  t.match(lines.at(-1), /^info/)
})

t.test('a short interruption of the connection is logged, and so is its end', { skip: skipRedis }, async t => {
  const server = await RedisServer.start(t)
  const { lines, link } = observed(t, { url: server.url })
  link.start()
  await eventually(() => link.isReady)
  await server.client(t).call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
  await eventually(() => lines.length === 2)
  t.match(lines[0], /^error realtime: Redis cannot be used: Redis closed the connection/)
  t.match(lines[1], /^info realtime: Redis: the connection works again/)
})

t.test('a connection that is replaced on purpose is not an outage', { skip: skipRedis }, async t => {
  const server = await RedisServer.start(t)
  const { lines, link } = observed(t, { url: server.url })
  link.start()
  await eventually(() => link.isReady)
  let count = 0
  link.client.on('ready', () => count++)
  link.reconnect()
  await eventually(() => count === 1)
  t.strictSame(lines, [])
})

t.test('a link does not use another database instead of one that does not exist, and is ready once this exists', { skip: skipRedis }, async t => {
  const args = ['--databases', '4']
  const server = await RedisServer.start(t, args)
  const { lines, link } = observed(t, { url: `${server.url}/4` })
  let isReady = false
  link.client.on('ready', () => { isReady = true })
  let attempts = 0
  link.client.on('connecting', () => attempts++)
  link.start()
  await eventually(() => attempts === 3)
  t.equal(isReady, false)
  t.equal(lines.length, 1)
  t.match(lines[0], /DB index is out of range\. Correct the number of the database/)
  args[1] = '5'
  await server.restart()
  await eventually(() => isReady)
  await eventually(() => lines.at(-1)?.startsWith('info ') === true)
  // On a busy machine the link notices that the server is away while it restarts.
  t.strictSame(found(lines.slice(1), line => !/^info |ECONN/.test(line)), [], 'the only fault that was logged is the database')
})

t.test('a link logs the reason why a Cluster is unreachable, or why its name does not resolve', { skip: skipRedis }, async t => {
  const nodes = [
    [{ host: '127.0.0.1', port: await freePort() }, /ECONNREFUSED/],
    [{ host: 'redis.invalid', port: 1 }, /ENOTFOUND|EAI_AGAIN/]
  ] as const
  for (const [node, expected] of nodes) {
    const client = new Cluster([node], { lazyConnect: true })
    t.teardown(() => client.disconnect())
    const { lines, link } = observed(t, { client })
    link.start()
    await eventually(() => lines.length > 0)
    t.match(lines[0], expected)
    t.equal(link.isReady, false)
  }
})

t.test('a link logs the reason why a Sentinel is unreachable', async t => {
  const client = new Redis({ sentinels: [{ host: '127.0.0.1', port: await freePort() }], name: 'app', lazyConnect: true })
  t.teardown(() => client.disconnect())
  const { lines, link } = observed(t, { client })
  link.start()
  await eventually(() => lines.length > 0)
  t.match(lines[0], /ECONNREFUSED/)
})

t.test('an unreachable node of a Cluster is logged in a line of its own, and the link stays ready', { skip: skipRedis }, async t => {
  const { servers, client } = await startCluster(t)
  for (const server of servers) await server.client(t).config('SET', 'cluster-require-full-coverage', 'no')
  const { lines, link } = observed(t, { client: client() })
  link.start()
  await eventually(() => link.isReady)
  await servers[1].kill()
  await eventually(() => lines.some(line => line.startsWith('error realtime: A node of the Redis Cluster cannot be used: ')), 20_000)
  t.equal(link.isReady, true)
  t.equal(link.health.cause, undefined)
})

t.test('a link logs nothing after end', { skip: skipRedis }, async t => {
  const server = await RedisServer.start(t)
  const { lines, link } = observed(t, { url: server.url })
  link.start()
  await eventually(() => link.isReady)
  link.end()
  await once(link.client, 'end')
  t.strictSame(lines, [])
})

t.test('a link logs once, for many attempts, the reason why a server refuses connections', async t => {
  let connections = 0
  const server = net.createServer(socket => {
    connections++
    socket.on('error', () => {})
    socket.end('-ERR max number of clients reached\r\n')
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { lines, link } = observed(t, { url: `redis://127.0.0.1:${(server.address() as AddressInfo).port}` })
  link.start()
  await eventually(() => connections > 8)
  t.equal(lines.length, 1)
  t.match(lines[0], /ERR max number of clients reached\. Raise 'maxclients'/)
})

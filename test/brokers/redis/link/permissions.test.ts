import t from 'tap'
import { Health } from '../../../../lib/brokers/redis/link/health.js'
import { Keys } from '../../../../lib/brokers/redis/keys.js'
import { RedisLink } from '../../../../lib/brokers/redis/link/link.js'
import { checkPermissions, commandsIn } from '../../../../lib/brokers/redis/link/permissions.js'
import { scripts } from '../../../../lib/brokers/redis/commands/index.js'
import { probeScript as probe } from '../../../../lib/brokers/redis/commands/probe.js'
import { RedisServer, skipRedis, startCluster } from '../../../redis-server.js'
import { eventually } from '../../../waiting.js'
import { found } from '../../../every.js'

const keys = new Keys('t:')

interface Scope {
  teardown (action: () => unknown): void
}

async function check (t: Scope, address: ConstructorParameters<typeof RedisLink>[0]): Promise<string[]> {
  const lines: string[] = []
  const link = new RedisLink(address, new Health('t:', { error: (_fields, message) => lines.push(message), info () {} }))
  t.teardown(() => link.end())
  link.start()
  await eventually(() => link.isReady)
  await checkPermissions(link, keys)
  return lines
}

t.test('the probe calls each command of the other scripts', async t => {
  const called = new Set(scripts.filter(script => script !== probe).flatMap(commandsIn))
  t.ok(called.size > 15)
  t.strictSame(found([...called], name => !commandsIn(probe).includes(name)), [])
})

t.test('a user with all permissions causes no line, and the check leaves no key in Redis', { skip: skipRedis }, async t => {
  const server = await RedisServer.start(t)
  const client = server.client(t)
  t.strictSame(await check(t, { url: server.url }), [])
  await eventually(async () => await client.dbsize() === 0)
})

t.test('a user with all permissions causes no line on a Cluster, whose masters connect after it is ready', { skip: skipRedis }, async t => {
  const cluster = await startCluster(t)
  t.strictSame(await check(t, { client: cluster.client() }), [])
})

t.test('the check names each missing permission', { skip: skipRedis }, async t => {
  const server = await RedisServer.start(t)
  const client = server.client(t)
  // Commands of the probe, and commands that are sent directly.
  const names = [...commandsIn(probe).filter(name => name !== 'TIME'), 'PUBLISH', 'EVAL', 'PING']
  for (const name of names) {
    await client.call('ACL', 'SETUSER', name, 'on', '>x', '~*', '&*', '+@all', `-${name.toLowerCase()}`)
    const lines = await check(t, { url: `redis://${name}:x@127.0.0.1:${server.port}` })
    t.ok(lines.some(line => line.startsWith(`realtime: Redis refuses ${name}: `) && line.includes('ACL SETUSER')), `${name}: ${lines}`)
  }
})

t.test('the keys of the probe expire when the user may not delete them', { skip: skipRedis }, async t => {
  const server = await RedisServer.start(t)
  const client = server.client(t)
  await client.call('ACL', 'SETUSER', 'keeper', 'on', '>x', '~*', '&*', '+@all', '-hdel', '-del', '-zrem', '-zremrangebyscore')
  t.match((await check(t, { url: server.url.replace('//', '//keeper:x@') })).join('\n'), /refuses DEL: /)
  await eventually(async () => await client.dbsize() === 0)
})

t.test('the probe sends subscribers an empty message, which is not a publication', { skip: skipRedis }, async t => {
  const server = await RedisServer.start(t)
  const subscriber = server.client(t)
  const heard = new Promise<string>(resolve => subscriber.once('message', (_channel, message) => resolve(message)))
  await subscriber.subscribe(keys.nodes)
  await check(t, { url: server.url })
  t.equal(await heard, '')
})

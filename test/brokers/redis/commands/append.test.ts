import t from 'tap'
import { append, type AppendRequest } from '../../../../lib/brokers/redis/commands/append.js'
import type { Runner } from '../../../../lib/brokers/redis/commands/script.js'
import { lifetimeOf, RedisServer, skipRedis } from '../../../redis-server.js'

type Channel = AppendRequest['channels'][number]

t.test('append encodes the limits and publications of each channel, and decodes its outcome', { skip: skipRedis }, async t => {
  const server = await RedisServer.start(t)
  const client = server.client(t)
  const link: Runner = { run: (script, keys, args) => client.eval(script.text, keys.length, ...keys, ...args) }
  const limits = { size: 10, ttl: 60_000, bytes: 1_000_000 }
  const channelOf = (stream: string, bodies: string[], more: Partial<Channel> = {}): Channel => ({
    stream, meta: `${stream}:meta`, limits, isDefault: false, publications: bodies.map(body => ({ mark: `m-${body}`, body })), ...more
  })
  const request = (channels: Channel[], ms = 60_000): AppendRequest => ({ deadline: Date.now() + ms, epoch: 'e1', publishCommand: 'PUBLISH', channels })

  await client.set('bad:meta', 'no hash', 'EX', 60)
  const { now, results, unannounced } = await append(link, request([channelOf('a', ['x', 'y']), channelOf('bad', ['q']), channelOf('b', ['z'])]))
  t.ok(Math.abs(now - Date.now()) < 5_000)
  t.match(results, [{ epoch: 'e1', head: 2 }, { error: /^WRONGTYPE/ }, { epoch: 'e1', head: 1 }])
  t.equal(unannounced, undefined)
  t.match(await client.xrange('a', '-', '+'), [['1-0', ['m', 'm-x', 't', String, 'b', 'x']], ['2-0', ['m', 'm-y', 't', String, 'b', 'y']]])
  t.match(await client.xrange('b', '-', '+'), [['1-0', ['m', 'm-z', 't', String, 'b', 'z']]])
  t.ok(await lifetimeOf(client, 'a') <= 60_000)

  const own = { ...limits, ttl: 30_000, headTtl: 50_000 }
  await append(link, request([channelOf('own', ['x'], { limits: own })]))
  t.equal(await client.hget('own:meta', 'r'), '10 30000 1000000 50000')
  await append(link, request([channelOf('own', ['y'], { isDefault: true })]))
  t.equal(await client.hget('own:meta', 'r'), '10 30000 1000000 50000', 'default limits do not replace stored ones')

  const late = await append(link, request([channelOf('late', ['x'])], -1_000))
  t.ok(Math.abs(late.now - Date.now()) < 5_000)
  t.strictSame([late.results, late.unannounced], [undefined, undefined], 'the deadline is over')

  await client.call('ACL', 'SETUSER', 'mute', 'on', '>x', '~*', 'resetchannels', '+@all')
  await client.call('AUTH', 'mute', 'x')
  const mute = await append(link, request([channelOf('a', ['z']), channelOf('b', ['z'])]))
  t.strictSame(mute.results, [{ epoch: 'e1', head: 3 }, { epoch: 'e1', head: 2 }])
  t.match(mute.unannounced, /can't publish/)
})

import t from 'tap'
import { Keys } from '../../../lib/brokers/redis/keys.js'
import { Members } from '../../../lib/brokers/redis/members.js'
import { startLink } from '../../redis-nodes.js'
import { RedisServer, skipRedis, until } from '../../redis-server.js'

// That the dead are found, and who gets what they held, is in nodes.test.ts and scripts.test.ts.

t.test('nodes know which others are alive', { skip: skipRedis }, async t => {
  const server = await RedisServer.start(t)
  const client = server.client(t)
  const { link } = startLink(t, { url: server.url })
  await until(() => link.isReady)
  const keys = new Keys('t:')

  function make (id: string) {
    const seen = { unknown: 0, beats: 0, inherited: [] as Array<[string, string]> }
    const members = new Members(id, link, keys, {
      onUnknown: () => seen.unknown++,
      onBeat: () => seen.beats++,
      canInherit: () => true,
      onInherited: leases => seen.inherited.push(...leases)
    })
    t.teardown(() => members.stop())
    return { members, seen }
  }

  t.test('know each other after a beat', async t => {
    const [a, b] = [make('a'), make('b')]
    t.strictSame(a.members.alive, ['a'])
    a.members.start()
    await until(() => a.seen.beats === 1)
    b.members.start()
    await until(() => b.seen.beats === 1)
    await a.members.beat()
    t.strictSame([...a.members.alive].sort(), ['a', 'b'])
    t.strictSame([a.seen.unknown, b.seen.unknown], [1, 1])
  })

  t.test('a node that does not beat is silent at once, and one that does shows it', async t => {
    const [a, b] = [make('p'), make('q')]
    a.members.start()
    b.members.start()
    await until(() => a.seen.beats > 0 && b.seen.beats > 0)
    t.equal(await a.members.isOneSilent(['q'], 1_600), false)
    t.equal(await a.members.isOneSilent(['p'], 1_600), false, 'this one is there')
    await client.zadd(keys.shared('alive'), Date.now(), 'killed')
    const start = performance.now()
    t.equal(await a.members.isOneSilent(['q', 'killed'], 1_700), true)
    t.ok(performance.now() - start < 1_700, `after ${Math.round(performance.now() - start)} ms`)
    t.ok(a.members.silent.includes('killed'))
    t.notOk(a.members.silent.includes('q'))
    t.equal(await a.members.isOneSilent(['unknown'], 500), false, 'one that Redis does not know is not waited for without end')
    const asked = a.members.isOneSilent(['unknown'], 10_000)
    await a.members.stop()
    t.equal(await asked, false, 'nor after the end')
    t.equal(await a.members.isOneSilent(['killed'], 10_000), false)
    await b.members.stop()
  })

  t.test('who is forgotten is told so', async t => {
    const { members, seen } = make('c')
    members.start()
    await until(() => seen.beats === 1)
    await client.zrem(keys.shared('alive'), 'c')
    await members.beat()
    t.equal(seen.unknown, 2)
  })

  t.test('what the dead held is inherited', async t => {
    await client.zadd(keys.shared('alive'), 1, 'dead')
    await client.hset(keys.shared('holders'), 'run:1', 'dead')
    await client.hset(keys.shared('leases'), 'run:1', '{}')
    const { members, seen } = make('d')
    members.start()
    await until(() => seen.beats === 1)
    t.strictSame(seen.inherited, [['run:1', '{}']])
    t.equal(members.alive.includes('dead'), false)
  })

  t.test('after a stop there is no beat, and the others know', async t => {
    const { members, seen } = make('e')
    members.start()
    await until(() => seen.beats === 1)
    await members.stop()
    await members.beat()
    t.equal(seen.beats, 1)
    t.equal(await client.zscore(keys.shared('alive'), 'e'), '0')
  })
})

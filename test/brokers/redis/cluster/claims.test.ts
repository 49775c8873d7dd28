import t from 'tap'
import { Claims, maxClaims } from '../../../../lib/brokers/redis/cluster/claims.js'
import { Keys } from '../../../../lib/brokers/redis/keys.js'
import { every } from '../../../every.js'
import { startLink } from '../../../redis-nodes.js'
import { lifetimeOf, RedisServer, skipRedis } from '../../../redis-server.js'
import { eventually } from '../../../waiting.js'

t.test('claims are kept in Redis', { skip: skipRedis }, async t => {
  const server = await RedisServer.start(t)
  const client = server.client(t)
  const { link } = startLink(t, { url: server.url })
  await eventually(() => link.isReady)
  const keys = new Keys('t:')
  const claims = new Claims(link, keys)
  const remember = (holder: string, key: string, ms = 60_000) => claims.claim(holder, key, ms)

  t.test('only the first claim of a holder to a key succeeds until it expires', async t => {
    const outcomes = await Promise.all([1, 2, 3].map(() => remember('ada', 'k')))
    t.strictSame(outcomes, [true, false, false])
    t.equal(await remember('ada', 'K'), true)
    t.equal(await remember('bob', 'k'), true)
    t.equal(await remember('ada', 'short', 1), true)
    await eventually(() => remember('ada', 'short', 1))
  })

  t.test('10,000 claims of a user leave one key, with the newest 1,000', async t => {
    const before = await client.dbsize()
    const long = 'x'.repeat(1_000)
    for (let n = 0; n < 10_000; n += 500) {
      const outcomes = await Promise.all(Array.from({ length: 500 }, (_, at) => remember('eve', `${long}${n + at}`)))
      t.ok(every(outcomes, Boolean))
    }
    t.equal(await client.dbsize(), before + 1)
    t.equal(await client.zcard(keys.claims('eve')), maxClaims)
    t.equal(await remember('eve', `${long}9999`), false)
    t.equal(await remember('eve', `${long}9001`), false)
    const bytes = await client.memory('USAGE', keys.claims('eve'), 'SAMPLES', 0)
    t.ok(bytes! < 200_000, `${bytes} bytes`)
  })

  t.test('expired claims leave no key', async () => {
    await Promise.all(Array.from({ length: 100 }, (_, n) => remember('mia', `k${n}`, 50)))
    await remember('mia', 'long', 1_000)
    await eventually(async () => {
      await remember('mia', 'long', 1_000)
      return await client.zcard(keys.claims('mia')) <= 1
    })
    await eventually(async () => await client.exists(keys.claims('mia')) === 0)
  })

  t.test('a short claim does not shorten the time of a long one', async t => {
    await remember('kim', 'long')
    await remember('kim', 'short', 1)
    t.ok(await lifetimeOf(client, keys.claims('kim')) > 50_000)
    t.equal(await remember('kim', 'long'), false)
  })
})

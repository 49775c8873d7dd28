import fc from 'fast-check'
import t from 'tap'
import { slotOf } from '../../../../lib/brokers/redis/link/slot.js'
import { RedisServer, freePort, nodeOfCluster, skipRedis } from '../../../redis-server.js'

t.test('slotOf computes the same slot of a key as Redis', { skip: skipRedis }, async t => {
  const server = await RedisServer.start(t, nodeOfCluster(await freePort()))
  const client = server.client(t)
  const key = fc.oneof(fc.string(), fc.string({ unit: 'grapheme' }), fc.tuple(fc.string(), fc.string(), fc.string()).map(([a, b, c]) => `${a}{${b}}${c}`))
  await fc.assert(fc.asyncProperty(key, async key => await client.cluster('KEYSLOT', key) === slotOf(key)), {
    numRuns: 1_000,
    examples: [['123456789'], ['{}x'], ['a{}{b}'], ['{{a}}'], ['}{a'], ['realtime:{YQ}:meta']]
  })
})

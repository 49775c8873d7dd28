import t from 'tap'
import { redisBroker } from '../../lib/brokers/redis.js'
import { brokerContract } from '../../lib/testing/index.js'
import { RedisServer, skipRedis, startCluster } from '../redis-server.js'

t.test('keeps the contract on a single Redis', { skip: skipRedis }, async t => {
  const server = await RedisServer.start(t)
  const client = server.client(t)
  for (const { name, run } of brokerContract) await t.test(name, () => run(() => redisBroker({ client })))
})

t.test('keeps the contract with a small history and little room for who is behind', { skip: skipRedis }, async t => {
  const { url } = await RedisServer.start(t)
  for (const { name, run } of brokerContract) await t.test(name, () => run(() => redisBroker({ url, history: { size: 10 }, lag: 1_000 })))
})

t.test('keeps the contract on a Cluster', { skip: skipRedis }, async t => {
  const cluster = await startCluster(t)
  const client = cluster.client()
  for (const { name, run } of brokerContract) await t.test(name, () => run(() => redisBroker({ client })))
})

import { Cluster, Redis } from 'ioredis'
import t from 'tap'
import { createConnection, isCluster, isReady, unanswered } from '../../../../lib/brokers/redis/link/connection.js'

t.test('createConnection throws RT_ERR_OPTIONS without an address, and with an invalid one', async t => {
  t.throws(() => createConnection({}), { code: 'RT_ERR_OPTIONS', message: /Pass 'client'/ })
  t.throws(() => createConnection({ url: 'localhost:6379' }), { code: 'RT_ERR_OPTIONS' })
  t.throws(() => createConnection({ url: 'redis://localhost:6379/first' }), { code: 'RT_ERR_OPTIONS', message: /database/ })
})

t.test("createConnection does not change the app's client", async t => {
  const client = new Redis(1, '127.0.0.1', { lazyConnect: true, keyPrefix: 'app:', db: 3, retryStrategy: null })
  const before = JSON.stringify(client.options)
  const connection = createConnection({ client }) as Redis
  t.teardown(() => connection.disconnect())
  t.equal(JSON.stringify(client.options), before)
  t.equal(client.status, 'wait')
  t.match(connection.options, { db: 3, keyPrefix: '', enableOfflineQueue: false, autoResendUnfulfilledCommands: false, maxRetriesPerRequest: 0 })
  t.equal(isCluster(connection), false)
  t.equal(isReady(connection), false)
})

t.test('the delays between attempts to connect are spread over a second', async t => {
  const connection = createConnection({ url: 'redis://127.0.0.1:1' }) as Redis
  t.teardown(() => connection.disconnect())
  const delays = Array.from({ length: 100 }, () => connection.options.retryStrategy!(20) as number)
  t.ok(Math.max(...delays) <= 1_020 && Math.max(...delays) > 500)
  t.ok(Math.min(...delays) >= 20 && Math.min(...delays) < 300)
})

t.test('a connection to a Cluster uses sharded pub/sub, and sends no command twice', async t => {
  const client = new Cluster([{ host: '127.0.0.1', port: 1 }], { lazyConnect: true, redisOptions: { password: 'x' } })
  const connection = createConnection({ client }) as Cluster
  t.teardown(() => connection.disconnect())
  t.match(connection.options, { shardedSubscribers: true, enableOfflineQueue: false, retryDelayOnFailover: 0, retryDelayOnClusterDown: 0 })
  t.match(connection.options.redisOptions, { password: 'x', autoResendUnfulfilledCommands: false, maxRetriesPerRequest: 0 })
})

t.test('unanswered calls its callback, and creates an error that says that Redis does not answer', async t => {
  let calls = 0
  t.match(unanswered(() => { calls++ }).late(), { message: 'Redis does not answer' })
  t.equal(calls, 1)
})

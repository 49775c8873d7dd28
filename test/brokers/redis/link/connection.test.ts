import { EventEmitter } from 'node:events'
import { Cluster, Redis, type RedisOptions } from 'ioredis'
import t from 'tap'
import { createConnection, end, isCluster, isReachable, isReady, serverOf, unanswered } from '../../../../lib/brokers/redis/link/connection.js'
import { loopTurns } from '../../../waiting.js'

t.test('createConnection throws RT_ERR_OPTIONS without an address, and with an invalid one', async t => {
  t.throws(() => createConnection({}), { code: 'RT_ERR_OPTIONS', message: /Pass 'client'/ })
  for (const url of ['localhost:6379', 'http://localhost:6379', 'see redis://localhost:6379']) {
    t.throws(() => createConnection({ url }), { code: 'RT_ERR_OPTIONS', message: /Pass 'client'/ }, url)
  }
  const secret = () => createConnection({ url: 'redis://user:a%zz@localhost:6379' })
  t.throws(secret, { code: 'RT_ERR_OPTIONS', message: /cannot be read.*encodeURIComponent/ })
  t.throws(secret, { message: /^((?!a%zz).)*$/ }, 'the message does not contain the password')
  t.throws(() => createConnection({ url: 'redis://localhost:6379/first' }), { code: 'RT_ERR_OPTIONS', message: /database/ })
})

t.test("createConnection does not change the app's client", async t => {
  const client = new Redis(1, '127.0.0.1', { lazyConnect: true, keyPrefix: 'app:', db: 3, retryStrategy: null })
  const before = JSON.stringify(client.options)
  const connection = createConnection({ client }) as Redis
  t.teardown(() => connection.disconnect())
  t.equal(JSON.stringify(client.options), before)
  t.equal(client.status, 'wait')
  t.match(connection.options, { db: 3, keyPrefix: '' })
  t.equal(connection.status, 'wait', 'it does not connect yet')
  t.equal(isCluster(connection), false)
  t.equal(isReady(connection), false)
})

/** Settings of an app under which commands would be sent twice, too late, to other keys or servers, or never fail. */
const ofApp: RedisOptions = {
  enableOfflineQueue: true,
  autoResendUnfulfilledCommands: true,
  autoResubscribe: true,
  maxRetriesPerRequest: null,
  enableAutoPipelining: true,
  connectTimeout: 60_000,
  socketTimeout: 60_000,
  keyPrefix: 'app:',
  stringNumbers: true,
  readOnly: true,
  commandTimeout: 5,
  reconnectOnError: () => 2
}

t.test("settings of the app's client have no effect on when and how often commands are sent", async t => {
  const client = new Redis(1, '127.0.0.1', { ...ofApp, lazyConnect: true, retryStrategy: null })
  const connection = createConnection({ client }) as Redis
  t.teardown(() => connection.disconnect())
  const { retryStrategy, sentinelRetryStrategy, connectTimeout, socketTimeout, ...options } = connection.options
  t.match(options, {
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    autoResubscribe: false,
    maxRetriesPerRequest: 0,
    enableAutoPipelining: false,
    keyPrefix: '',
    stringNumbers: false,
    readOnly: false,
    reconnectOnError: null
  })
  t.equal(options.commandTimeout, undefined)
  t.ok(connectTimeout! < 2_000, 'a start waits for 2 s')
  t.ok(socketTimeout! < 5_000)
  for (const strategy of [retryStrategy, sentinelRetryStrategy]) t.ok(Number(strategy!(1)) >= 20)
})

t.test("settings of the app's Cluster have no effect on when and how often commands are sent", async t => {
  const { enableOfflineQueue, enableAutoPipelining, keyPrefix } = ofApp
  const client = new Cluster([{ host: '127.0.0.1', port: 1 }], {
    enableOfflineQueue, enableAutoPipelining, keyPrefix, lazyConnect: true, scaleReads: 'slave', clusterRetryStrategy: undefined, redisOptions: ofApp
  })
  const connection = createConnection({ client }) as Cluster
  t.teardown(() => connection.disconnect())
  t.match(connection.options, { enableOfflineQueue: false, enableAutoPipelining: false, keyPrefix: '', scaleReads: 'master' })
  t.ok(Number(connection.options.clusterRetryStrategy!(1)) >= 20)
  t.match(connection.options.redisOptions, {
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    enableAutoPipelining: false,
    stringNumbers: false,
    readOnly: false,
    reconnectOnError: null
  })
  t.equal(connection.status, 'wait', 'it does not connect yet')
})

t.test('commands to a server of a Cluster are sent at once only if the Cluster and that server are ready', async t => {
  const node = (port: number, status: string) => ({ options: { host: 'h', port }, status })
  const cluster = (status: string) => ({
    isCluster: true,
    status,
    slots: [['h:1', 'h:9'], ['h:2']],
    nodes: (role: string) => role === 'master' ? [node(1, 'ready'), node(2, 'connecting')] : []
  }) as unknown as Cluster
  const ready = cluster('ready')
  t.strictSame([0, 1, 2].map(slot => serverOf(ready, slot)), ['h:1', 'h:2', undefined])
  t.strictSame(['h:1', 'h:2', 'h:3', undefined].map(server => isReachable(ready, server)), [true, false, false, false])
  t.equal(isReachable(cluster('connecting'), 'h:1'), false)
  const single = (status: string) => ({ isCluster: false, status }) as unknown as Redis
  t.equal(serverOf(single('ready'), 0), undefined)
  t.strictSame(['ready', 'connecting'].map(status => isReachable(single(status), undefined)), [true, false])
})

t.test('an ended connection to a Cluster does not connect again, also when ioredis finds another node afterwards', async t => {
  let disconnects = 0
  const options = { clusterRetryStrategy: () => 1 }
  const cluster = Object.assign(new EventEmitter(), { isCluster: true, options, disconnect: () => { disconnects++ } })
  end(cluster as unknown as Cluster)
  t.equal(disconnects, 1)
  t.equal(options.clusterRetryStrategy, null)
  for (const event of ['+node', '+subscriber']) {
    cluster.emit(event)
    await loopTurns()
  }
  t.equal(disconnects, 3)
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

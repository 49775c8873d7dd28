import t from 'tap'
import { Preparation } from '../../../../lib/brokers/redis/publishing/preparation.js'
import { startLink } from '../../../redis-nodes.js'
import { RedisServer, skipRedis } from '../../../redis-server.js'
import { eventually, gate } from '../../../waiting.js'

t.test('a preparation is done once Redis has returned its time and the prepare function has resolved', { skip: skipRedis }, async t => {
  const { url } = await RedisServer.start(t)
  const { link } = startLink(t, { url })
  const prepared = gate()
  let calls = 0
  const preparation = new Preparation(link, () => prepared.opened, () => { calls++ })
  t.teardown(() => preparation.close())
  t.equal(preparation.isDone, false)
  await preparation.ready(5_000)
  t.ok(Math.abs(preparation.clock.at(performance.now())! - Date.now()) < 5_000)
  prepared.open()
  await eventually(() => preparation.isDone)
  t.ok(calls > 0, 'the callback is called')
  t.equal(await preparation.ready(0), undefined)
})

t.test('a preparation waits at most 500 ms for the prepare function, and close ends a wait for Redis', { skip: skipRedis }, async t => {
  const { url } = await RedisServer.start(t)
  const { link } = startLink(t, { url })
  const preparation = new Preparation(link, () => new Promise(() => {}), () => {})
  await eventually(() => preparation.isDone)
  const { link: away } = startLink(t, { url: 'redis://127.0.0.1:1' })
  const other = new Preparation(away, async () => {}, () => {})
  const ready = other.ready(60_000)
  other.close()
  await ready
  t.equal(other.isDone, false)
  const listeners = link.client.listenerCount('ready')
  preparation.close()
  t.equal(link.client.listenerCount('ready'), listeners - 1, 'a closed preparation no longer follows the connection')
})

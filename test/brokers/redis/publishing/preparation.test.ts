import t from 'tap'
import { Preparation } from '../../../../lib/brokers/redis/publishing/preparation.js'
import { startLink } from '../../../redis-nodes.js'
import { RedisServer, skipRedis } from '../../../redis-server.js'
import { eventually, gate } from '../../../waiting.js'

t.test('it is done once Redis has told the time and what is to be prepared is ready', { skip: skipRedis }, async t => {
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
  t.ok(calls > 0, 'whoever waits is told')
  t.equal(await preparation.ready(0), undefined)
})

t.test('what is prepared is not waited for any longer than half a second, and closing waits for nothing', { skip: skipRedis }, async t => {
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
  preparation.close()
})

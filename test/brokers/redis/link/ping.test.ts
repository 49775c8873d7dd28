import t from 'tap'
import { Ping } from '../../../../lib/brokers/redis/link/ping.js'
import { leaks } from '../../../leaks.js'
import { startLink } from '../../../redis-nodes.js'
import { ChaosProxy, RedisServer, skipRedis } from '../../../redis-server.js'
import { eventually } from '../../../waiting.js'

t.test('an answered ping records its time, and an unanswered ping reports silence to the health', { skip: skipRedis }, async t => {
  const { port } = await RedisServer.start(t)
  const proxy = await ChaosProxy.start(t, port)
  const { link } = startLink(t, { url: proxy.url })
  const ping = new Ping(link)
  await ping.send()
  t.equal(ping.answeredAt, -Infinity, 'there is no connection yet')
  await eventually(() => link.isReady)
  const before = performance.now()
  await ping.send()
  t.ok(ping.answeredAt >= before && ping.answeredAt <= performance.now())
  t.notMatch(leaks().join('\n'), /Ping\.send/, 'an answered ping leaves no timer')
  let silences = 0
  link.health.silent = () => { silences++ }
  const answered = ping.answeredAt
  proxy.hold()
  const late = ping.send()
  await eventually(() => silences === 1)
  t.equal(ping.answeredAt, answered)
  proxy.release()
  await late
})

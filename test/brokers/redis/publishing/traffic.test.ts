import t from 'tap'
import type { Batch } from '../../../../lib/brokers/redis/publishing/batch.js'
import { Traffic } from '../../../../lib/brokers/redis/publishing/traffic.js'
import { loopTurns } from '../../../waiting.js'

const batchOf = (server: string, sentAt: number): Batch => ({ server, sentAt, publications: [], channels: new Map(), deadline: 0 })
const silence = { roundTrips: 4, least: 100, most: 1_000 }

/** Marks the answers up to a time as read. */
async function look (traffic: Traffic, now: number): Promise<void> {
  traffic.look(now)
  await loopTurns()
}

t.test('a server is silent when its oldest batch is unanswered for a number of round trips, within bounds', async t => {
  const traffic = new Traffic()
  traffic.learn(50)
  traffic.sent(batchOf('x', 0))
  traffic.sent(batchOf('x', 150))
  await look(traffic, 200)
  t.equal(traffic.isUnanswered('x', silence), false)
  t.equal(traffic.isUnanswered('y', silence), false)
  await look(traffic, 201)
  t.equal(traffic.isUnanswered('x', silence), true)
  t.equal(traffic.isUnanswered('x', { ...silence, least: 300 }), false)
  t.equal(traffic.isUnanswered('x', { ...silence, roundTrips: 100, most: 200 }), true)
  traffic.answered(traffic.oldest('x')!)
  t.equal(traffic.isUnanswered('x', silence), false, 'the next batch was sent later')
})

t.test('no server is silent before the answers up to that time have been read', async t => {
  const traffic = new Traffic()
  traffic.sent(batchOf('x', 0))
  traffic.look(10_000)
  t.equal(traffic.isUnanswered('x', silence), false)
  await loopTurns()
  t.equal(traffic.isUnanswered('x', silence), true)
})

t.test('a shorter round trip reduces the known round trip by at most a fifth', async t => {
  const traffic = new Traffic()
  traffic.learn(100)
  traffic.learn(10)
  traffic.sent(batchOf('x', 0))
  await look(traffic, 321)
  t.equal(traffic.isUnanswered('x', silence), true, 'four times 80 ms')
  t.equal(traffic.isUnanswered('x', { ...silence, least: 321 }), false)
})

t.test('a batch is under way from the time it is sent until it is answered', async t => {
  const traffic = new Traffic()
  const [first, second] = [batchOf('x', 0), batchOf('x', 1)]
  traffic.sent(first)
  traffic.sent(second)
  t.strictSame([traffic.size, traffic.batches], [2, [first, second]])
  t.equal(traffic.oldest('x'), first)
  traffic.answered(first)
  t.strictSame([traffic.size, traffic.batches], [1, [second]])
  t.equal(traffic.oldest('x'), second)
  t.equal(traffic.oldest('y'), undefined)
})

t.test('retry allows writes to a server that was held up', async t => {
  const traffic = new Traffic()
  traffic.holdUp('x')
  t.strictSame([traffic.isHeldUp('x'), traffic.isHeldUp('y')], [true, false])
  traffic.retry()
  t.equal(traffic.isHeldUp('x'), false)
})

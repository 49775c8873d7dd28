import t from 'tap'
import type { PendingPublication } from '../../../../lib/brokers/redis/publishing/batch.js'
import { PublishQueue } from '../../../../lib/brokers/redis/publishing/queue.js'

let number = 0

function pending (server: string | undefined, bytes = 10, at = 0): PendingPublication {
  const limits = { size: 1, ttl: 1, bytes: 1 }
  const given = { channel: 'a', body: '{}', limits, isDefault: false, mark: 'm', number: number++, server: () => server, bytes, at }
  return { ...given, resolve () {}, reject () {}, isSettled: false }
}

function queueOf (publications: PendingPublication[]): PublishQueue {
  const queue = new PublishQueue()
  for (const publication of publications) queue.add(publication)
  return queue
}

t.test('waiting publications are taken per server, in order, and count until they are settled', async t => {
  const [a, b, c] = [pending('x'), pending('y'), pending('x')]
  const queue = queueOf([a, b, c])
  t.strictSame([queue.waiting, queue.countFor('x'), [...queue.servers]], [3, 2, ['x', 'y']])
  t.strictSame(queue.take('x'), [a, c])
  t.strictSame([queue.waiting, queue.count, queue.bytes], [1, 3, 30])
  queue.settled(a)
  t.strictSame([queue.waiting, queue.count, queue.bytes], [1, 2, 20])
  t.strictSame(queue.take('z'), [])
})

t.test('a batch is full with 256 publications, or with 256 KiB', async t => {
  const many = Array.from({ length: 256 }, () => pending('x'))
  t.strictSame([255, 256].map(count => queueOf(many.slice(0, count)).isFull), [false, true])
  t.strictSame([-1, 0].map(more => queueOf([pending('x', 256 * 1024 + more)]).isFull), [false, true])
  const queue = queueOf([...many, pending('x')])
  t.equal(queue.isFull, true)
  t.equal(queue.take('x').length, 256)
  t.equal(queue.isFull, false)
  const large = [pending('x', 256 * 1024), pending('x')]
  t.equal(queueOf(large).isFull, true)
  const ofLarge = queueOf(large)
  t.strictSame(ofLarge.take('x'), [large[0]])
  t.equal(ofLarge.isFull, false, 'only waiting publications fill a batch')
})

t.test('publications that are taken back return to their place in the queue', async t => {
  const all = Array.from({ length: 5 }, () => pending('x'))
  const queue = queueOf(all.slice(0, 3))
  const taken = queue.take('x')
  for (const later of all.slice(3)) queue.add(later)
  queue.takeBack(taken.slice(1))
  t.strictSame(queue.take('x'), all.slice(1))
})

t.test('batches that are taken back in another order than they were taken leave the queue in its first order', async t => {
  const all = ['x', 'y', 'x', 'y'].map(server => pending(server))
  const queue = queueOf(all)
  const [ofX, ofY] = [queue.take('x'), queue.take('y')]
  queue.takeBack(ofX)
  queue.takeBack(ofY)
  t.strictSame(queue.takeBefore(Infinity), all)
})

t.test('takeBefore takes only the publications that were added up to a time', async t => {
  const all = [pending('x', 1, 1), pending('y', 1, 2), pending('x', 1, 3)]
  const queue = queueOf(all)
  t.strictSame(queue.takeBefore(0), [])
  t.strictSame(queue.takeBefore(2), all.slice(0, 2))
  t.strictSame(queue.takeBefore(Infinity), all.slice(2))
  t.strictSame([queue.waiting, queue.isFull], [0, false])
  const large = queueOf([pending('x', 256 * 1024, 1)])
  large.takeBefore(1)
  large.add(pending('x'))
  t.equal(large.isFull, false, 'taken publications no longer fill a batch')
})

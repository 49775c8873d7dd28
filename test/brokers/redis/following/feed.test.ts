import fc from 'fast-check'
import t from 'tap'
import type { StreamHead } from '../../../../lib/brokers/redis/commands/read.js'
import { Feed, type Fed, type Reading } from '../../../../lib/brokers/redis/following/feed.js'
import { never } from '../../../../lib/logs/log.js'
import { alwaysBorn, Unborn } from '../../../../lib/brokers/redis/following/unborn.js'
import { every } from '../../../every.js'

interface Publication { mark: string, body: string }

/** A stream as Redis has it, in memory: what it loses, and when it answers, the test says. */
class Stream {
  epoch = 'e1'
  /** Offset of the first one retained is `evicted + 1`. */
  all: Publication[] = []
  evicted = 0
  reads = 0
  mendings = 0
  #epochs = 1

  publish (count = 1, name = 'm'): Publication[] {
    const published = Array.from({ length: count }, () => ({ mark: `${name}${this.all.length}~${Math.random()}`, body: `{"n":${this.all.length}}` }))
    for (const one of published) this.all.push({ ...one, body: `{"n":${this.all.length + 1}}` })
    return this.all.slice(-count)
  }

  get head (): StreamHead {
    return { epoch: this.epoch, offset: this.all.length, mark: this.all.at(-1)?.mark ?? '' }
  }

  readonly read = async (after: StreamHead | undefined, inAnotherEpoch: boolean): Promise<Reading> => {
    this.reads++
    const isSame = after?.epoch === this.epoch
    const isOther = after !== undefined && after.offset > this.evicted && this.all[after.offset - 1]?.mark !== after.mark
    const isTailLost = isSame && (after.offset > this.all.length || isOther)
    if (isTailLost && !inAnotherEpoch) return { head: this.head, isTailLost, isForked: false, stored: [] }
    if (isTailLost) this.epoch = `e${++this.#epochs}`
    const start = isSame && !isTailLost && after.offset >= this.evicted ? after.offset : this.evicted
    return { head: this.head, isTailLost: false, isForked: isTailLost, stored: this.all.slice(start).map(one => ({ ...one, age: 0 })) }
  }

  readonly mend = async (head: StreamHead, publications: Publication[]): Promise<boolean> => {
    this.mendings++
    if (head.epoch !== this.epoch || head.offset !== this.all.length || head.mark !== this.head.mark) return false
    this.all.push(...publications)
    return true
  }

  /** As they are announced. */
  announcements (from: number, to = this.all.length) {
    return this.all.slice(from - 1, to).map((one, at) => ({ ...one, epoch: this.epoch, offset: from + at }))
  }
}

class TestLog implements Fed {
  head = 0
  bodies: string[] = []
  resets = 0
  precedes = never
  epoch: string

  constructor (epoch: string) {
    this.epoch = epoch
  }

  append (body: string, _now?: number): void {
    this.head++
    this.bodies.push(body)
  }

  begin (epoch: string): void {
    this.epoch = epoch
  }

  reset (epoch: string, head = 0): void {
    this.epoch = epoch
    this.head = head
    this.bodies = []
    this.resets++
  }
}

async function begun (published = 0) {
  const stream = new Stream()
  if (published > 0) stream.publish(published)
  const feed = new Feed<TestLog>({ createLog: epoch => new TestLog(epoch), unborn: alwaysBorn, read: stream.read, mend: stream.mend })
  await feed.catchUp()
  return { stream, feed, log: feed.log! }
}

const hour = 60 * 60 * 1_000

/** A channel that has no publication yet, in a Redis whose data and clock the test decides on. */
async function unborn () {
  const stream = new Stream()
  const redis = { era: 'era1', now: 100 * hour }
  const read: typeof stream.read = async (after, inAnotherEpoch) => stream.all.length === 0
    ? { head: undefined, isTailLost: false, isForked: false, stored: [] }
    : stream.read(after, inAnotherEpoch)
  const open = async () => {
    const feed = new Feed<TestLog>({
      createLog: epoch => new TestLog(epoch),
      unborn: new Unborn(() => redis.era, () => redis.now),
      read,
      mend: stream.mend
    })
    await feed.catchUp()
    return feed
  }
  const feed = await open()
  return { stream, redis, feed, open, log: feed.log! }
}

const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, at) => `{"n":${from + at}}`)

t.test('begins with what is retained', async t => {
  const { feed, log, stream } = await begun(3)
  await feed.begun
  t.strictSame(log.bodies, numbers(1, 3))
  t.equal(feed.has(stream.head), true)
})

t.test('begins after what is not retained any more, and knows the mark of what is gone', async t => {
  const stream = new Stream()
  stream.publish(5)
  stream.evicted = 5
  const feed = new Feed<TestLog>({ createLog: epoch => new TestLog(epoch), unborn: alwaysBorn, read: stream.read, mend: stream.mend })
  await feed.catchUp()
  t.equal(feed.log!.head, 5)
  t.equal(feed.has(stream.head), true)
  await feed.catchUp()
  t.equal(feed.log!.epoch, 'e1')
})

t.test('appends what is announced, each once', async t => {
  const { feed, log, stream } = await begun()
  stream.publish(3)
  feed.onAnnounced(stream.announcements(1, 2))
  feed.onAnnounced(stream.announcements(1, 3))
  t.strictSame(log.bodies, numbers(1, 3))
  t.equal(stream.reads, 1)
})

t.test('a hole is read from the stream', async t => {
  const { feed, log, stream } = await begun()
  stream.publish(4)
  feed.onAnnounced(stream.announcements(1, 1))
  feed.onAnnounced(stream.announcements(4))
  await feed.catchUp()
  t.strictSame(log.bodies, numbers(1, 4))
  t.equal(log.resets, 0)
})

t.test('what is announced while the stream is read follows it', async t => {
  const { feed, log, stream } = await begun()
  stream.publish(2)
  const reading = feed.catchUp()
  stream.publish(2)
  feed.onAnnounced(stream.announcements(3))
  await reading
  t.strictSame(log.bodies, numbers(1, 4))
})

t.test('a stream that does not reach back any more: the log starts again, in the same epoch', async t => {
  const { feed, log, stream } = await begun(2)
  stream.publish(8)
  stream.evicted = 5
  await feed.catchUp()
  t.strictSame([log.epoch, log.head, log.bodies, log.resets], ['e1', 10, numbers(6, 10), 1])
})

t.test('another epoch: the log starts again', async t => {
  const { feed, log, stream } = await begun(2)
  stream.epoch = 'x'
  stream.all = []
  stream.publish(1)
  feed.onAnnounced(stream.announcements(1))
  await feed.catchUp()
  t.strictSame([log.epoch, log.head, log.resets], ['x', 1, 1])
})

t.test('a tail that was lost is given back', async t => {
  const { feed, log, stream } = await begun(2)
  stream.publish(3)
  feed.onAnnounced(stream.announcements(3))
  stream.all.length = 2
  await feed.reach(stream.head, log.head)
  t.equal(stream.all.length, 5)
  t.strictSame([log.resets, log.bodies], [0, numbers(1, 5)])
})

t.test('another node is faster, and has less of it: the rest is given back too', async t => {
  const { feed, log, stream } = await begun(2)
  stream.publish(3)
  feed.onAnnounced(stream.announcements(3))
  const lost = stream.all.splice(2)
  const slow = new Feed<TestLog>({ createLog: epoch => new TestLog(epoch), unborn: alwaysBorn, read: stream.read, mend: stream.mend })
  await slow.catchUp()
  slow.onAnnounced(lost.slice(0, 1).map(one => ({ ...one, epoch: 'e1', offset: 3 })))
  await Promise.all([slow.reach(stream.head, 3), feed.reach(stream.head, 5)])
  t.equal(stream.all.length, 5)
  t.equal(log.resets + slow.log!.resets, 0)
})

t.test('what was settled long ago is not kept, and then a lost tail is told', async t => {
  const { feed, log, stream } = await begun(2)
  stream.publish(3)
  feed.onAnnounced(stream.announcements(3))
  feed.settle(performance.now() + 1)
  stream.all.length = 2
  await feed.reach(stream.head, log.head)
  t.strictSame([stream.mendings, log.epoch, log.resets], [0, 'e2', 1])
})

t.test('of a tail 256 publications and a million characters can be given back', async t => {
  for (const { count, length, isMended } of [
    { count: 256, length: 1, isMended: true },
    { count: 257, length: 1, isMended: false },
    { count: 1, length: 1_048_576, isMended: true },
    { count: 1, length: 1_048_577, isMended: false },
    { count: 3, length: 400_000, isMended: false },
    { count: 2, length: 400_000, isMended: true }
  ]) {
    const { feed, log, stream } = await begun(2)
    const more = stream.publish(600)
    more.push(...stream.publish(count))
    for (const one of more.slice(-count)) one.body = 'x'.repeat(length)
    stream.all.splice(2, stream.all.length, ...more)
    feed.onAnnounced(stream.announcements(3))
    stream.all.length = 602
    await feed.reach(stream.head, log.head)
    t.strictSame([stream.all.length, log.resets], isMended ? [602 + count, 0] : [602, 1], `${count} of ${length}`)
  }
})

t.test('another publication at an offset that the log has: another epoch', async t => {
  const { feed, log, stream } = await begun(2)
  stream.publish(3)
  feed.onAnnounced(stream.announcements(3))
  stream.all.length = 2
  stream.publish(1, 'other')
  feed.onAnnounced(stream.announcements(3))
  await feed.catchUp()
  t.strictSame([log.epoch, log.head, log.resets], ['e2', 3, 1])
})

t.test('reach waits for what is on its way, and reads what does not come', async t => {
  const { feed, log, stream } = await begun(1)
  stream.publish(1)
  const reached = feed.reach(stream.head, 1)
  feed.onAnnounced(stream.announcements(2))
  await reached
  t.equal(stream.reads, 1)
  stream.publish(1)
  await feed.reach(stream.head, 2)
  t.equal(stream.reads, 2)
  t.strictSame(log.bodies, numbers(1, 3))
  const { head } = stream
  stream.publish(1)
  feed.onAnnounced(stream.announcements(4))
  await feed.reach(head, 3)
  t.equal(stream.reads, 2, 'more was announced meanwhile')
})

t.test('a failure leaves the log as it is, and the next one reads on', async t => {
  const { log, stream } = await begun(1)
  const { read } = stream
  const failing = new Feed<TestLog>({
    createLog: epoch => new TestLog(epoch),
    unborn: alwaysBorn,
    read: async (...args) => {
      if (stream.reads++ % 2 === 1) throw new Error('away')
      return read(...args)
    },
    mend: stream.mend
  })
  await t.rejects(failing.catchUp(), { message: 'away' })
  stream.reads = 0
  await failing.catchUp()
  t.strictSame(failing.log!.bodies, log.bodies)
})

t.test('more announcements than are kept while the stream is read are read again', async t => {
  const { stream } = await begun()
  let go = () => {}
  const { read } = stream
  const gated = new Feed<TestLog>({
    createLog: epoch => new TestLog(epoch),
    unborn: alwaysBorn,
    read: async (...args) => {
      const reading = await read(...args)
      await new Promise<void>(resolve => { go = resolve })
      return reading
    },
    mend: stream.mend
  })
  const reading = gated.catchUp()
  for (let n = 1; n <= 600; n++) {
    stream.publish(1)
    gated.onAnnounced(stream.announcements(n))
  }
  await Promise.resolve()
  go()
  await new Promise(resolve => setImmediate(resolve))
  go()
  await reading
  t.equal(gated.log!.head, 600)
})

t.test('once it has ended nothing is appended', async t => {
  const { feed, log, stream } = await begun(1)
  stream.publish(1)
  feed.end()
  feed.onAnnounced(stream.announcements(2))
  await feed.catchUp()
  t.equal(log.head, 1)
})

t.test('whatever is lost, late, repeated or swapped: the log has the stream, without a hole', async () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('publish' as const), count: fc.integer({ min: 1, max: 5 }), isHeard: fc.boolean() }),
    fc.record({ kind: fc.constant('repeat' as const), from: fc.nat(20) }),
    fc.record({ kind: fc.constant('check' as const) }),
    fc.record({ kind: fc.constant('evict' as const) })
  )
  await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 40 }), async steps => {
    const { feed, log, stream } = await begun()
    for (const step of steps) {
      if (step.kind === 'publish') {
        const first = stream.all.length + 1
        stream.publish(step.count)
        if (step.isHeard) feed.onAnnounced(stream.announcements(first))
      }
      if (step.kind === 'repeat' && step.from > stream.evicted) feed.onAnnounced(stream.announcements(step.from))
      if (step.kind === 'check') await feed.reach(stream.head, log.head)
      if (step.kind === 'evict') stream.evicted = Math.max(stream.evicted, stream.all.length - 3)
    }
    await feed.reach(stream.head, log.head)
    const start = log.head - log.bodies.length
    return feed.has(stream.head) && log.epoch === 'e1' && log.bodies.join() === numbers(start + 1, log.head).join()
  }), { numRuns: 300 })
})

t.test('a log without a publication goes on with the first one, whichever way that comes', async t => {
  for (const [way, isTold] of Object.entries({ announced: true, read: false })) {
    const { feed, log, stream } = await unborn()
    t.equal(feed.isUnborn, true)
    await feed.reach(undefined, 0)
    stream.publish(2)
    if (isTold) feed.onAnnounced(stream.announcements(1))
    else await feed.reach(stream.head, 0)
    t.strictSame([log.epoch, log.bodies, log.resets, feed.isUnborn], ['e1', numbers(1, 2), 0, false], way)
  }
})

t.test('a log without a publication starts again when the first ones are gone before it has them', async t => {
  const { feed, log, stream } = await unborn()
  stream.publish(5)
  stream.evicted = 2
  await feed.reach(stream.head, 0)
  t.strictSame([log.epoch, log.bodies, log.resets], ['e1', numbers(3, 5), 1])
})

t.test('a position from before the first publication is good on any node, unless the channel may have expired meanwhile', async t => {
  const { redis, log, stream, open } = await unborn()
  const { epoch } = log
  redis.now += 22 * hour
  t.equal((await open()).log!.precedes(epoch), true, 'there is no publication still')
  stream.publish(1)
  t.equal((await open()).log!.precedes(epoch), true, 'there is one')
  redis.now += 2 * hour
  t.equal((await open()).log!.precedes(epoch), false, 'it is older than the meta of a channel may be')
  t.equal(log.precedes(epoch), true, 'where the log has been followed ever since it is good')
})

t.test('a position from before the first publication is worth nothing once Redis has lost its data, or a tail', async t => {
  const { redis, log, stream, open, feed } = await unborn()
  const { epoch } = log
  stream.publish(1)
  feed.onAnnounced(stream.announcements(1))
  redis.era = 'era2'
  t.equal((await open()).log!.precedes(epoch), false)
  feed.renew()
  t.equal(log.precedes(epoch), false, 'nor for a log that was there before')

  const lost = await unborn()
  const position = lost.log.epoch
  lost.stream.publish(3)
  lost.feed.onAnnounced(lost.stream.announcements(1))
  lost.stream.all.length = 2
  lost.feed.settle(performance.now() + 1)
  await lost.feed.reach(lost.stream.head, 3)
  t.equal(lost.log.epoch, 'e2')
  t.equal(lost.log.precedes(position), false)
})

t.test('a log without a publication follows the clock, and starts again when Redis has lost its data', async t => {
  const { redis, feed, log } = await unborn()
  const first = log.epoch
  redis.now += hour / 2
  feed.renew()
  t.equal(log.epoch, first)
  redis.now += hour / 2
  feed.renew()
  t.not(log.epoch, first)
  t.strictSame([log.resets, log.precedes(first), feed.isUnborn], [0, true, true])
  redis.era = 'era2'
  feed.renew()
  t.strictSame([log.resets, log.precedes(first), feed.isUnborn], [1, false, true], 'its readers are told')
  feed.renew()
  t.equal(log.resets, 1)
})

t.test('a log from before the first publication has the stream, whatever is lost or late', async () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('publish' as const), count: fc.integer({ min: 1, max: 3 }), isHeard: fc.boolean() }),
    fc.record({ kind: fc.constant('check' as const) }),
    fc.record({ kind: fc.constant('pass' as const) })
  )
  await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 12 }), async steps => {
    const { feed, log, stream, redis } = await unborn()
    const head = () => stream.all.length === 0 ? undefined : stream.head
    for (const step of steps) {
      if (step.kind === 'publish') {
        const first = stream.all.length + 1
        stream.publish(step.count)
        if (step.isHeard) feed.onAnnounced(stream.announcements(first))
      }
      if (step.kind === 'check') await feed.reach(head(), log.head)
      if (step.kind === 'pass') redis.now += 2 * hour
      feed.renew()
    }
    await feed.reach(head(), log.head)
    return log.resets === 0 && log.bodies.join() === numbers(1, stream.all.length).join() && feed.isUnborn === (stream.all.length === 0)
  }), { numRuns: 100 })
})

t.test('publications that are read from the stream are as old in the log as in Redis', async t => {
  const times: number[] = []
  class TimedLog extends TestLog {
    override append (body: string, now: number): void {
      super.append(body)
      times.push(now)
    }
  }
  const stream = new Stream()
  stream.publish(2)
  const read: typeof stream.read = async (...args) => {
    const reading = await stream.read(...args)
    return { ...reading, stored: reading.stored.map((one, at) => ({ ...one, age: 1_000 * (2 - at) })) }
  }
  const feed = new Feed<TimedLog>({ createLog: epoch => new TimedLog(epoch), unborn: alwaysBorn, read, mend: stream.mend })
  const start = performance.now()
  await feed.catchUp()
  const end = performance.now()
  const ages = [2_000, 1_000]
  t.ok(times.length === 2 && every(times, (time, at) => time >= start - ages[at] && time <= end - ages[at]), `${times} from ${start} to ${end}`)
})

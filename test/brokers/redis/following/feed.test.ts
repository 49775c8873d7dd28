import fc from 'fast-check'
import t from 'tap'
import type { StreamHead } from '../../../../lib/brokers/redis/commands/read.js'
import { Feed, type Fed, type ReadPublications } from '../../../../lib/brokers/redis/following/feed.js'
import { never } from '../../../../lib/logs/log.js'
import { alwaysBorn, Unborn } from '../../../../lib/brokers/redis/following/unborn.js'
import { every } from '../../../every.js'
import { loopTurns } from '../../../waiting.js'

interface Publication { mark: string, body: string }

/** In-memory stream that behaves like one in Redis. The test decides which publications it loses, and when it answers. */
class Stream {
  epoch = 'e1'
  /** Publications. The first retained one has the offset `evicted + 1`. */
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

  readonly read = async (after: StreamHead | undefined, inAnotherEpoch: boolean): Promise<ReadPublications> => {
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

  /** Announcements of the publications from one offset to another. */
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

/** Feed of a channel without a publication. The test controls the data and the clock of Redis. */
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

t.test('a feed starts with the retained publications', async t => {
  const { feed, log, stream } = await begun(3)
  await feed.begun
  t.strictSame(log.bodies, numbers(1, 3))
  t.equal(feed.has(stream.head), true)
})

t.test('a feed of a channel without retained publications starts at the head of the stream, and knows its mark', async t => {
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

t.test('a feed appends each announced publication once', async t => {
  const { feed, log, stream } = await begun()
  stream.publish(3)
  feed.onAnnounced(stream.announcements(1, 2))
  feed.onAnnounced(stream.announcements(1, 3))
  t.strictSame(log.bodies, numbers(1, 3))
  t.equal(stream.reads, 1)
})

t.test('a feed knows the marks of at least 16 publications, and of few more once Redis is unlikely to lose them', async t => {
  const { feed, stream } = await begun()
  stream.publish(5_000)
  feed.onAnnounced(stream.announcements(1))
  t.ok(feed.known >= 256 && feed.known <= 512, `${feed.known}`)
  feed.settle(performance.now() + 1)
  t.equal(feed.known, 16)
})

t.test('a feed reads missing publications from the stream', async t => {
  const { feed, log, stream } = await begun()
  stream.publish(4)
  feed.onAnnounced(stream.announcements(1, 1))
  feed.onAnnounced(stream.announcements(4))
  await feed.catchUp()
  t.strictSame(log.bodies, numbers(1, 4))
  t.equal(log.resets, 0)
})

t.test('publications that are announced during a read are appended after it', async t => {
  const { feed, log, stream } = await begun()
  stream.publish(2)
  const reading = feed.catchUp()
  stream.publish(2)
  feed.onAnnounced(stream.announcements(3))
  await reading
  t.strictSame(log.bodies, numbers(1, 4))
  t.equal(stream.reads, 2, 'they are not read again')
})

t.test('a log starts again, in the same epoch, when the stream no longer reaches back to its head', async t => {
  const { feed, log, stream } = await begun(2)
  stream.publish(8)
  stream.evicted = 5
  await feed.catchUp()
  t.strictSame([log.epoch, log.head, log.bodies, log.resets], ['e1', 10, numbers(6, 10), 1])
})

t.test('a log starts again when the stream has another epoch', async t => {
  const { feed, log, stream } = await begun(2)
  stream.epoch = 'x'
  stream.all = []
  stream.publish(1)
  feed.onAnnounced(stream.announcements(1))
  await feed.catchUp()
  t.strictSame([log.epoch, log.head, log.resets], ['x', 1, 1])
})

t.test('a feed restores a tail that Redis lost', async t => {
  const { feed, log, stream } = await begun(2)
  stream.publish(3)
  feed.onAnnounced(stream.announcements(3))
  stream.all.length = 2
  await feed.reach(stream.head, log.head)
  t.equal(stream.all.length, 5)
  t.strictSame([log.resets, log.bodies], [0, numbers(1, 5)])
})

t.test('a feed restores the rest of a lost tail when a faster node has fewer of its publications', async t => {
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

t.test('a lost tail without its bodies is not restored, and the log starts again in another epoch', async t => {
  const { feed, log, stream } = await begun(2)
  stream.publish(3)
  feed.onAnnounced(stream.announcements(3))
  feed.settle(performance.now() + 1)
  stream.all.length = 2
  await feed.reach(stream.head, log.head)
  t.strictSame([stream.mendings, log.epoch, log.resets], [0, 'e2', 1])
})

t.test('a feed restores a tail of at most 256 publications and 1,048,576 characters', async t => {
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

t.test('a log starts again in another epoch when another publication has an offset of the log', async t => {
  const { feed, log, stream } = await begun(2)
  stream.publish(3)
  feed.onAnnounced(stream.announcements(3))
  stream.all.length = 2
  stream.publish(1, 'other')
  feed.onAnnounced(stream.announcements(3))
  await loopTurns()
  t.strictSame([log.epoch, log.head, log.resets], ['e2', 3, 1])
})

t.test('a publication of another epoch is not appended, even when its offset is the next one of the log', async t => {
  const { feed, log, stream } = await begun(2)
  stream.epoch = 'x'
  stream.publish(1)
  feed.onAnnounced(stream.announcements(3))
  await loopTurns()
  t.strictSame([log.epoch, log.head, log.resets], ['x', 3, 1])
})

t.test('reach notices that a channel without publications has another epoch', async t => {
  const { feed, log, stream } = await begun()
  stream.epoch = 'x'
  await feed.reach(stream.head, 0)
  t.strictSame([log.epoch, log.head, log.resets], ['x', 0, 1])
})

t.test('reach reads the stream when another publication is at the head of the log', async t => {
  const { feed, log, stream } = await begun(2)
  stream.all.length = 1
  stream.publish(1, 'other')
  await feed.reach(stream.head, log.head)
  t.strictSame([log.epoch, log.head, log.resets], ['e2', 2, 1])
  t.equal(feed.has(stream.head), true)
})

t.test('reach waits for announcements on their way, and reads the stream when none arrives', async t => {
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
  t.equal(stream.reads, 2, 'a later announcement also reaches the head')
})

t.test('catchUp rejects when a read fails, and the next call reads the whole stream', async t => {
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

t.test('announcements beyond the limit of a read are read from the stream afterwards', async t => {
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
  await loopTurns()
  go()
  await reading
  t.equal(gated.log!.head, 600)
})

t.test('a feed that has ended appends nothing', async t => {
  const { feed, log, stream } = await begun(1)
  stream.publish(1)
  feed.end()
  feed.onAnnounced(stream.announcements(2))
  await feed.catchUp()
  t.equal(log.head, 1)
})

t.test('a log ends like the stream, without gaps, after lost and repeated announcements and evictions', async () => {
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

t.test('a log without a publication continues with the first one, whether it is announced or read', async t => {
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

t.test('a log without a publication starts again when the first ones are evicted before it gets them', async t => {
  const { feed, log, stream } = await unborn()
  stream.publish(5)
  stream.evicted = 2
  await feed.reach(stream.head, 0)
  t.strictSame([log.epoch, log.bodies, log.resets], ['e1', numbers(3, 5), 1])
})

t.test('a position from before the first publication is valid on any node, unless the channel may have expired since', async t => {
  const { redis, log, stream, open } = await unborn()
  const { epoch } = log
  redis.now += 22 * hour
  t.equal((await open()).log!.precedes(epoch), true, 'the channel still has no publication')
  stream.publish(1)
  t.equal((await open()).log!.precedes(epoch), true, 'the channel has a publication')
  redis.now += 2 * hour
  t.equal((await open()).log!.precedes(epoch), false, 'the position is older than the lifetime of a meta')
  t.equal(log.precedes(epoch), true, 'the position is valid in a log that has followed the channel since')
})

t.test('a position from before the first publication is invalid once Redis has lost its data or a tail', async t => {
  const { redis, log, stream, open, feed } = await unborn()
  const { epoch } = log
  stream.publish(1)
  feed.onAnnounced(stream.announcements(1))
  redis.era = 'era2'
  t.equal((await open()).log!.precedes(epoch), false)
  feed.renew()
  t.equal(log.precedes(epoch), false, 'the position is also invalid in a log from before the loss')

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

t.test('a log without a publication adopts the epoch of each hour, and starts again when Redis has lost its data', async t => {
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
  t.strictSame([log.resets, log.precedes(first), feed.isUnborn], [1, false, true], 'the log is reset, so that its readers are lost')
  feed.renew()
  t.equal(log.resets, 1)
})

t.test('a log from before the first publication gets the whole stream, even when announcements are lost and hours pass', async () => {
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

t.test('publications that are read from the stream have the same age in the log as in Redis', async t => {
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

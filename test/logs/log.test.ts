import t from 'tap'
import { ChannelLog } from '../../lib/logs/channel-log.js'
import type { Reader } from '../../lib/logs/log.js'

const limits = { size: 10, ttl: 1_000, lag: 1_000 }

function reader (offset = 0): Reader & { wakes: number, asked: number } {
  return { offset, epoch: 'e', wakes: 0, asked: 0, wake () { this.wakes++ }, catchUp () { this.asked++ } }
}

t.test('readers keep their seats in order when one leaves', async t => {
  const log = new ChannelLog('e', limits)
  const readers = [reader(), reader(), reader()]
  for (const each of readers) log.add(each)
  log.remove(readers[0])
  log.remove(readers[0])
  t.strictSame(log.readers, [readers[2], readers[1]])
  log.append('a', 0)
  t.strictSame(readers.map(({ wakes }) => wakes), [0, 1, 1])
})

t.test('only those who are behind are hurried, also when they leave meanwhile', async t => {
  const log = new ChannelLog('e', limits)
  log.append('a', 0)
  const [behind, leaving, done] = [reader(), reader(), reader(1)]
  leaving.catchUp = () => log.remove(leaving)
  for (const each of [behind, leaving, done]) log.add(each)
  log.hurry()
  t.strictSame([behind.asked, done.asked], [1, 0])
  t.strictSame(log.readers, [behind, done])
})

t.test('a reset log begins at the given offset of another epoch, and its readers are lost', async t => {
  const log = new ChannelLog('e', limits)
  log.append('a', 0)
  const cursor = reader(1)
  log.add(cursor)
  log.reset('f', 7)
  t.match(log, { epoch: 'f', head: 7, length: 0, bytes: 0, beginning: 7, evicted: 7, position: { epoch: 'f', offset: 7 } })
  t.equal(cursor.wakes, 1)
  t.equal(log.isLost(cursor), true)
  t.equal(log.canRecover({ epoch: 'f', offset: 6 }), false, 'what was before is not known here')
  t.equal(log.canRecover({ epoch: 'f', offset: 7 }), true)
  log.skipToHead(cursor)
  log.append('b', 0)
  t.equal(log.read(cursor, 100), 'b')
  t.strictSame([cursor.epoch, cursor.offset], ['f', 8])
  log.reset('g')
  t.match(log, { epoch: 'g', head: 0 })
})

t.test('the last reader of a log leaves none behind, and one that was never added changes nothing', async t => {
  const log = new ChannelLog('e', limits)
  const [first, second] = [reader(), reader()]
  for (const each of [first, second]) log.add(each)
  log.remove(reader())
  t.strictSame(log.readers, [first, second])
  log.remove(second)
  t.strictSame(log.readers, [first])
  log.remove(first)
  t.strictSame(log.readers, [])
  t.strictSame(new ChannelLog('e', limits).readers, [], 'nor in another log')
})

t.test('a reader that ends all others when it is hurried leaves no reader to be hurried', async t => {
  const log = new ChannelLog('e', limits)
  log.append('a', 0)
  const readers = [reader(), reader(), reader()]
  readers[2].catchUp = () => { for (const each of readers) log.remove(each) }
  for (const each of readers) log.add(each)
  log.hurry()
  t.strictSame(readers.map(({ asked }) => asked), [0, 0, 0])
  t.strictSame(log.readers, [])
})

t.test('a position is recoverable from the beginning of the history to the head, in its own epoch', async t => {
  const log = new ChannelLog('e', { ...limits, size: 3 })
  for (let n = 0; n < 5; n++) log.append('a', 0)
  t.strictSame([0, 1, 2, 3, 4, 5, 6].map(offset => log.canRecover({ epoch: 'e', offset })), [false, false, true, true, true, true, false])
  t.equal(log.canRecover({ epoch: 'other', offset: 5 }), false)
})

t.test('an epoch that stands for a channel before its first publication is recoverable from offset 0 alone', async t => {
  const log = new ChannelLog('e', limits)
  log.append('a', 0)
  t.equal(log.canRecover({ epoch: 'unborn', offset: 0 }), false, 'by default there is none')
  log.precedes = epoch => epoch === 'unborn'
  const canRecover = (epoch: string, offset: number) => log.canRecover({ epoch, offset })
  t.strictSame([canRecover('unborn', 0), canRecover('unborn', 1), canRecover('other', 0), canRecover('e', 1)], [true, false, false, true])
})

t.test('a log that goes on under another epoch takes along the readers of its own, and no other', async t => {
  const log = new ChannelLog('e', limits)
  const [own, other] = [reader(), Object.assign(reader(), { epoch: 'x' })]
  for (const each of [own, other]) log.add(each)
  log.begin('f')
  t.strictSame([log.epoch, own.epoch, other.epoch], ['f', 'f', 'x'])
  t.strictSame([log.isLost(own), log.isLost(other)], [false, true])
})

t.test('a reader is lost when its next publication is evicted or its epoch has ended', async t => {
  const log = new ChannelLog('e', limits)
  for (let n = 0; n < 3; n++) log.append('a', 0)
  log.shift()
  t.strictSame([0, 1, 3].map(offset => log.isLost(reader(offset))), [true, false, false])
  t.equal(log.isLost(Object.assign(reader(3), { epoch: 'x' })), true)
})

t.test('what readers have read is evicted once in 32 publications, and when the log is trimmed', async t => {
  const log = new ChannelLog('e', { ...limits, size: 1, lag: 1_000_000 })
  const fast = reader()
  log.add(fast)
  fast.wake = () => { fast.offset = log.head }
  const lengths = []
  for (let n = 1; n <= 34; n++) lengths.push((log.append('a', 0), log.length))
  t.strictSame(lengths, [1, 1, 1, ...Array.from({ length: 30 }, (_, at) => at + 2), 1])
  log.append('a', 0)
  t.equal(log.length, 1, 'read up to the publication before')
  log.append('a', 0)
  t.equal(log.length, 2)
  log.trim()
  t.equal(log.length, 1)
  t.equal(fast.asked, 0)
})

t.test('a reader that is behind is waited for, and asked only when more than the lag is kept for it', async t => {
  const log = new ChannelLog('e', { ...limits, size: 1, lag: 40 * 129 })
  const [fast, slow, lost] = [reader(), reader(), Object.assign(reader(), { epoch: 'x' })]
  fast.wake = () => { fast.offset = log.head }
  for (const each of [fast, slow, lost]) log.add(each)
  for (let n = 1; n <= 41; n++) log.append('a', 0)
  t.strictSame([log.length, slow.asked], [41, 0])
  slow.catchUp = () => { slow.offset = (slow.asked++, log.head) }
  log.append('a', 0)
  t.strictSame([log.length, slow.asked, fast.asked], [1, 1, 0])
})

t.test('a reader that begins before what all others have read is waited for', async t => {
  const log = new ChannelLog('e', { ...limits, size: 5, lag: 1_000_000 })
  const fast = reader()
  fast.wake = () => { fast.offset = log.head }
  log.add(fast)
  for (let n = 1; n <= 40; n++) log.append('a', 0)
  const late = reader(log.beginning)
  log.add(late)
  for (let n = 1; n <= 10; n++) log.append('a', 0)
  t.equal(log.isLost(late), false)
})

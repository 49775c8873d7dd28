import t from 'tap'
import { ChannelLog } from '../../lib/logs/channel-log.js'
import type { Reader } from '../../lib/logs/log.js'

const limits = { size: 10, ttl: 1_000, lag: 1_000 }

function reader (offset = 0): Reader & { wakes: number, asked: number } {
  return { offset, epoch: 'e', wakes: 0, asked: 0, wake () { this.wakes++ }, catchUp () { this.asked++ } }
}

t.test('the last reader takes the place of a removed reader, and append wakes only the remaining readers', async t => {
  const log = new ChannelLog('e', limits)
  const readers = [reader(), reader(), reader()]
  for (const each of readers) log.add(each)
  log.remove(readers[0])
  log.remove(readers[0])
  t.strictSame(log.readers, [readers[2], readers[1]])
  log.append('a', 0)
  t.strictSame(readers.map(({ wakes }) => wakes), [0, 1, 1])
})

t.test('hurry calls only readers that are behind, even when one of them is removed meanwhile', async t => {
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
  t.equal(log.canRecover({ epoch: 'f', offset: 6 }), false, 'publications before the reset are unknown')
  t.equal(log.canRecover({ epoch: 'f', offset: 7 }), true)
  log.skipToHead(cursor)
  log.append('b', 0)
  t.equal(log.read(cursor, 100), 'b')
  t.strictSame([cursor.epoch, cursor.offset], ['f', 8])
  log.reset('g')
  t.match(log, { epoch: 'g', head: 0 })
})

t.test('remove takes out the last reader too, and ignores a reader that was never added', async t => {
  const log = new ChannelLog('e', limits)
  const [first, second] = [reader(), reader()]
  for (const each of [first, second]) log.add(each)
  log.remove(reader())
  t.strictSame(log.readers, [first, second])
  log.remove(second)
  t.strictSame(log.readers, [first])
  log.remove(first)
  t.strictSame(log.readers, [])
  t.strictSame(new ChannelLog('e', limits).readers, [], 'another log has no readers either')
})

t.test('hurry calls no reader after another reader has removed all of them', async t => {
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

t.test('a position in an epoch that precedes the log is recoverable at offset 0 only', async t => {
  const log = new ChannelLog('e', limits)
  log.append('a', 0)
  t.equal(log.canRecover({ epoch: 'unborn', offset: 0 }), false, 'by default no epoch precedes a log')
  log.precedes = epoch => epoch === 'unborn'
  const canRecover = (epoch: string, offset: number) => log.canRecover({ epoch, offset })
  t.strictSame([canRecover('unborn', 0), canRecover('unborn', 1), canRecover('other', 0), canRecover('e', 1)], [true, false, false, true])
})

t.test('begin moves the readers of the current epoch to the new epoch, and no others', async t => {
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

t.test('publications that all readers have read are evicted with every 32nd publication, and by trim', async t => {
  const log = new ChannelLog('e', { ...limits, size: 1, lag: 1_000_000 })
  const fast = reader()
  log.add(fast)
  fast.wake = () => { fast.offset = log.head }
  const lengths = []
  for (let n = 1; n <= 34; n++) lengths.push((log.append('a', 0), log.length))
  t.strictSame(lengths, [1, 1, 1, ...Array.from({ length: 30 }, (_, at) => at + 2), 1])
  log.append('a', 0)
  t.equal(log.length, 1, 'the reader had read the publication before')
  log.append('a', 0)
  t.equal(log.length, 2)
  log.trim()
  t.equal(log.length, 1)
  t.equal(fast.asked, 0)
})

t.test('a log keeps publications for a reader that is behind, and calls catchUp only when they exceed the lag', async t => {
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

t.test('a log keeps publications for a new reader that starts behind all others', async t => {
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

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

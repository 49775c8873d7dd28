import t from 'tap'
import { Flusher, slice, type Lane, type Writer } from '../../lib/server/flush.js'

const turn = () => new Promise<void>(resolve => setImmediate(resolve))

/** Notes when it was flushed; has more to write as often as it is told. */
class FakeWriter implements Writer {
  lane: Lane = 'none'
  flushes = 0
  more: number
  readonly #log: FakeWriter[]

  constructor (log: FakeWriter[], more = 0) {
    this.#log = log
    this.more = more
  }

  flush (): boolean {
    this.flushes++
    this.#log.push(this)
    return this.more-- > 0
  }
}

const writers = (log: FakeWriter[], count: number) => Array.from({ length: count }, () => new FakeWriter(log))

t.test('each is flushed once, after the turn in which it was marked', async t => {
  const log: FakeWriter[] = []
  const flusher = new Flusher()
  const some = writers(log, 10)
  for (let n = 0; n < 5; n++) for (const writer of some) flusher.mark(writer, 10)
  t.equal(log.length, 0)
  await turn()
  t.strictSame(log, some)
  await turn()
  t.equal(log.length, 10)
})

t.test('a slice per turn; what concerns few does not wait behind what concerns many', async t => {
  const log: FakeWriter[] = []
  const flusher = new Flusher()
  const many = writers(log, slice * 5)
  for (const writer of many) flusher.mark(writer, many.length)
  await turn()
  t.equal(log.length, slice)
  const few = writers(log, 3)
  for (const writer of few) flusher.mark(writer, 1)
  await turn()
  t.ok(few.every(writer => writer.flushes === 1), 'the few are flushed in the next turn')
  t.equal(log.length, slice * 2 + 3, 'and the many go on beside them')
  for (let n = 0; n < 5; n++) await turn()
  t.ok(many.every(writer => writer.flushes === 1))
})

t.test('one that waits among many overtakes when it alone is concerned, and is not flushed twice', async t => {
  const log: FakeWriter[] = []
  const flusher = new Flusher()
  const many = writers(log, slice * 3)
  for (const writer of many) flusher.mark(writer, many.length)
  const last = many.at(-1)!
  flusher.mark(last, 1)
  await turn()
  t.equal(last.flushes, 1)
  for (let n = 0; n < 5; n++) await turn()
  t.ok(many.every(writer => writer.flushes === 1))
})

t.test('one that has more to write goes on behind the others', async t => {
  const log: FakeWriter[] = []
  const flusher = new Flusher()
  const long = new FakeWriter(log, 2)
  const other = new FakeWriter(log)
  flusher.mark(long, 1)
  flusher.mark(other, 1)
  for (let n = 0; n < 4; n++) await turn()
  t.strictSame(log, [long, other, long, long])
  const wide = new FakeWriter(log, 1)
  flusher.mark(wide, slice + 1)
  for (let n = 0; n < 3; n++) await turn()
  t.equal(wide.flushes, 2)
})

t.test('nothing is flushed after close', async t => {
  const log: FakeWriter[] = []
  const flusher = new Flusher()
  flusher.mark(new FakeWriter(log), 1)
  flusher.close()
  await turn()
  t.equal(log.length, 0)
})

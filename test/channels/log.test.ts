import fc from 'fast-check'
import t from 'tap'
import { AppLog } from '../../lib/channels/log.js'
import { removalOf } from '../../lib/channels/removal.js'
import type { FrameOf, LogLimits, Reader } from '../../lib/logs/log.js'

const endless: LogLimits = { size: 1_000, ttl: 1_000, lag: 1_000_000 }
/** Frames of bodies that end in ! are Buffers, like those of large bodies. */
const frameOf: FrameOf = ({ offset }, body) => body.endsWith('!') ? Buffer.from(`${offset}${body} `) : `${offset}${body} `

/** Reader that records calls. `onCall` runs at each removal and doubt. */
class Cursor implements Reader {
  readonly log: AppLog
  offset: number
  epoch: string
  seat = -1
  readonly told: string[] = []
  onCall = () => {}

  constructor (log: AppLog, offset = log.head) {
    this.log = log
    this.offset = offset
    this.epoch = log.epoch
    log.add(this)
  }

  wake () {}
  catchUp () {}

  onRemoved (userId: string) {
    this.told.push(userId)
    this.onCall()
  }

  onDoubt () {
    this.told.push('?')
    this.onCall()
  }

  /** Everything up to the head, in the chunks in which the log returns it. */
  read (room = 1_000): string[] {
    const chunks: string[] = []
    while (this.offset < this.log.head) chunks.push(this.log.read(this, room).toString('latin1'))
    return chunks
  }
}

const logOf = (...bodies: string[]) => {
  const log = new AppLog('e', endless, frameOf)
  for (const body of bodies) log.append(body, 0)
  return log
}

t.test('a removal is an entry with an offset, and no reader gets it as a frame', async t => {
  const log = logOf('a', removalOf('ada'), 'b', removalOf('bob'), removalOf('eve'), 'c!', removalOf('ada'), 'd')
  t.equal(log.head, 8)
  t.equal(new Cursor(log, 0).read().join(''), '1a 3b 6c! 8d ')
  t.equal(new Cursor(log, 0).read(1).join(''), '1a 3b 6c! 8d ', 'each frame on its own')
  t.equal(new Cursor(log, 6).read().join(''), '8d ')
})

t.test('every reader gets the id of the removed user, once the entry is in the log', async t => {
  const log = logOf('a')
  const heads: number[] = []
  const cursors = [new Cursor(log), new Cursor(log)]
  cursors[0].onCall = () => { heads.push(log.head) }
  // A reader without these functions, such as that of another kind of log.
  log.add({ offset: 0, epoch: 'e', wake () {}, catchUp () {} })
  log.append(removalOf('ada'), 0)
  log.append('b', 0)
  log.append(removalOf('b "b"'), 0)
  t.strictSame(cursors.map(({ told }) => told), [['ada', 'b "b"'], ['ada', 'b "b"']])
  t.strictSame(heads, [2, 4])
})

t.test('readers that end at a removal do not hide it from others', async t => {
  for (const end of [(log: AppLog) => log.append(removalOf('ada'), 0), (log: AppLog) => log.reset('f')]) {
    const log = logOf()
    const cursors = Array.from({ length: 5 }, () => new Cursor(log))
    for (const cursor of cursors) cursor.onCall = () => log.remove(cursor)
    end(log)
    t.strictSame(cursors.map(({ told }) => told.length), [1, 1, 1, 1, 1])
    t.equal(log.readers.length, 0)
  }
})

t.test('a reader that ends another one at a removal does no harm', async t => {
  const log = logOf()
  const cursors = Array.from({ length: 4 }, () => new Cursor(log))
  cursors[3].onCall = () => { for (const cursor of cursors.slice(1)) log.remove(cursor) }
  log.append(removalOf('ada'), 0)
  t.strictSame(cursors.map(({ told }) => told.length), [1, 0, 0, 1])
})

t.test('behind() counts publications only', async t => {
  const log = logOf('a', removalOf('ada'), 'b', removalOf('bob'))
  t.strictSame([0, 1, 2, 3, 4].map(offset => log.behind(new Cursor(log, offset))), [2, 1, 1, 0, 0])
})

t.test('removals leave the log with the publications beside them', async t => {
  const log = new AppLog('e', { ...endless, size: 2, lag: 0 }, frameOf)
  for (let n = 0; n < 10; n++) log.append(n % 2 === 0 ? removalOf('ada') : 'a', 0)
  t.strictSame([log.length, log.evicted], [2, 8])
  t.equal(log.behind(new Cursor(log, 8)), 1)
})

t.test('the readers of a log that starts again are in doubt, and the removals of before count no more', async t => {
  const log = logOf('a', removalOf('ada'))
  const cursor = new Cursor(log)
  log.reset('f', 1)
  t.strictSame([cursor.told, log.epoch, log.head], [['?'], 'f', 1])
  const next = new Cursor(log)
  for (const body of ['b', 'c']) log.append(body, 0)
  t.equal(log.behind(next), 2)
})

t.test('a log that gets its first epoch causes no doubt', async t => {
  const log = logOf()
  const cursor = new Cursor(log)
  log.begin('f')
  t.strictSame([cursor.told, cursor.epoch], [[], 'f'])
})

t.test('behind() is the number of frames that a reader then reads, in any mixture of publications, removals and evictions', async t => {
  const entry = fc.constantFrom('publication', 'removal', 'shift')
  t.doesNotThrow(() => fc.assert(fc.property(fc.array(entry, { maxLength: 40 }), fc.nat(40), (entries, offset) => {
    const log = logOf()
    for (const kind of entries) {
      if (kind === 'shift') log.shift()
      else log.append(kind === 'removal' ? removalOf('ada') : 'a', 0)
    }
    const cursor = new Cursor(log, Math.max(log.evicted, Math.min(offset, log.head)))
    const behind = log.behind(cursor)
    return cursor.read(1).join('').split(' ').length - 1 === behind
  }), { numRuns: 300 }))
})

import fc from 'fast-check'
import t from 'tap'
import { ChannelLog } from '../../lib/logs/channel-log.js'
import type { Frame, FrameOf, LogLimits, Reader } from '../../lib/logs/log.js'
import { clockStart } from '../clock.js'

const overhead = 128
const endless: LogLimits = { size: 1_000, ttl: 1_000, lag: 1_000_000 }

/** Frames bodies that end in ! as Buffers, like large bodies. */
const frameOf: FrameOf = (_position, body) => body.endsWith('!') ? Buffer.from(body) : body

/** Reader that keeps the chunks it reads. With `reads: 'never'` it behaves like a connection whose socket is blocked. */
class Cursor implements Reader {
  readonly log: ChannelLog
  offset: number
  epoch: string
  reads: 'when asked' | 'hurried' | 'never'
  readonly chunks: Frame[] = []
  wakes = 0
  hurries = 0

  constructor (log: ChannelLog, reads: Cursor['reads'] = 'hurried', offset = log.head) {
    this.log = log
    this.offset = offset
    this.epoch = log.epoch
    this.reads = reads
    log.add(this)
  }

  wake () {
    this.wakes++
  }

  catchUp () {
    this.hurries++
    if (this.reads === 'hurried') this.readAll()
  }

  readAll (room = 1_000) {
    if (this.log.isLost(this)) return
    for (let chunk = this.log.read(this, room); chunk.length > 0; chunk = this.log.read(this, room)) this.chunks.push(chunk)
  }

  get text () {
    return this.chunks.map(chunk => chunk.toString('latin1')).join('')
  }
}

function filled (count: number, limits: Partial<LogLimits> = {}): ChannelLog {
  const log = new ChannelLog('e', { ...endless, ...limits }, frameOf)
  for (let n = 1; n <= count; n++) log.append(`<${n}>`, n)
  return log
}

t.test('a position in an empty log is recoverable at offset 0 only', async t => {
  const log = filled(0)
  t.match(log, { head: 0, length: 0, first: 1, bytes: 0, beginning: 0, position: { epoch: 'e', offset: 0 } })
  t.equal(log.shift(), 0)
  t.equal(new Cursor(log).text, '')
  t.equal(log.canRecover({ epoch: 'e', offset: 0 }), true)
  t.equal(log.canRecover({ epoch: 'e', offset: 1 }), false)
  t.doesNotThrow(() => { log.expire(5); log.trim(); log.hurry() })
})

t.test('append wakes each reader until the reader is removed', async t => {
  const log = filled(3)
  t.match(log, { head: 3, length: 3, first: 1, bytes: 9 + 3 * overhead, position: { epoch: 'e', offset: 3 } })
  const cursors = [new Cursor(log), new Cursor(log)]
  log.append('<4>', 4)
  log.append('<5!', 5)
  t.strictSame(cursors.map(({ wakes }) => wakes), [2, 2])
  t.equal(log.bytes, 15 + 5 * overhead)
  log.remove(cursors[0])
  log.append('<6>', 6)
  t.strictSame(cursors.map(({ wakes }) => wakes), [2, 3])
})

t.test('read returns the next chunk for a reader', async t => {
  t.test('read joins as many strings as there is room for, and at least one', async t => {
    const log = filled(6)
    const cases: Array<[room: number, chunks: string[]]> =
      [[100, ['<1><2><3><4><5><6>']], [8, ['<1><2>', '<3><4>', '<5><6>']], [0, ['<1>', '<2>', '<3>', '<4>', '<5>', '<6>']]]
    for (const [room, chunks] of cases) {
      const cursor = new Cursor(log, 'hurried', 0)
      cursor.readAll(room)
      t.strictSame(cursor.chunks, chunks)
      t.equal(cursor.offset, 6)
      t.equal(log.read(cursor, room), '', 'no publication is left')
    }
  })

  t.test('read returns a Buffer alone, the same one for every reader, and never behind text', async t => {
    const log = filled(2)
    log.append('large!', 3)
    log.append('<4>', 4)
    const cursor = new Cursor(log, 'hurried', 0)
    t.equal(log.read(cursor, 100), '<1><2>')
    t.equal(log.read(cursor, 100, true), '', 'a Buffer is not read behind text')
    t.equal(cursor.offset, 2)
    const buffer = log.read(cursor, 100)
    t.strictSame(buffer, Buffer.from('large!'))
    t.equal(log.read(new Cursor(log, 'hurried', 2), 100), buffer)
    t.equal(log.read(cursor, 100, true), '<4>')
  })

  t.test('a chunk that is reused for another reader contains exactly the publications that it would read alone', async t => {
    const log = filled(3)
    const other = new ChannelLog('f', endless)
    for (const text of ['one', 'two', 'three']) other.append(text, 0)
    const read = (of: ChannelLog, after: number, room: number) => {
      const cursor = new Cursor(of, 'hurried', after)
      const text = of.read(cursor, room)
      return [text, cursor.offset]
    }
    t.strictSame(read(log, 0, 100), ['<1><2><3>', 3])
    t.strictSame(read(log, 0, 100), ['<1><2><3>', 3], 'the same position')
    t.strictSame(read(other, 0, 100), ['onetwothree', 3], 'another log')
    t.strictSame(read(log, 0, 100), ['<1><2><3>', 3])
    t.strictSame(read(log, 1, 100), ['<2><3>', 3], 'another position')
    t.strictSame(read(log, 0, 6), ['<1><2>', 2], 'less room')
    log.append('<4>', 4)
    t.strictSame(read(log, 0, 6), ['<1><2>', 2], 'later publications do not change a full chunk')
    t.strictSame(read(log, 0, 100), ['<1><2><3><4>', 4])
    log.append('<5>', 5)
    t.strictSame(read(log, 0, 100), ['<1><2><3><4><5>', 5], 'later publications extend a chunk that is not full')
    log.reset('g')
    for (const text of ['a', 'b', 'c', 'd', 'e']) log.append(text, 6)
    t.strictSame(read(log, 0, 100), ['abcde', 5], 'another incarnation')
  })

  t.test('publications are joined once for all readers at a position, and again only after a further publication', async t => {
    let reads = 0
    const frame = { length: 3, deflated: '', get plain () { return `<${++reads}>` } }
    const log = new ChannelLog('e', endless, () => frame)
    for (let n = 1; n <= 10; n++) log.append('', n)
    const readsOfTen = (room: number) => {
      reads = 0
      for (let n = 0; n < 10; n++) log.read(new Cursor(log, 'hurried', 0), room)
      return reads
    }
    // A reader looks at the next frame before it takes the joined ones.
    t.equal(readsOfTen(100), 10 + 10, 'all publications')
    t.equal(readsOfTen(15), 10 + 5 + 1, 'as many as there is room for')
    t.equal(readsOfTen(15), 10, 'as many as there is room for, again')
    log.append('', 11)
    t.equal(readsOfTen(15), 10, 'a full chunk')
    t.equal(readsOfTen(100), 10 + 11)
    log.append('', 12)
    t.equal(readsOfTen(100), 10 + 12, 'a chunk that a further publication extends')
  })
})

t.test('a log keeps a history of its publications', async t => {
  t.test('only the newest publications, up to the size of the history, can be recovered', async t => {
    const log = filled(10, { size: 4 })
    t.match(log, { head: 10, length: 4, first: 7, beginning: 6, bytes: 13 + 4 * overhead })
    const recoverable = Array.from({ length: 12 }, (_, offset) => log.canRecover({ epoch: 'e', offset }))
    t.strictSame(recoverable, [false, false, false, false, false, false, true, true, true, true, true, false])
    t.equal(log.canRecover({ epoch: 'f', offset: 8 }), false)
  })

  t.test('only publications that are younger than the ttl can be recovered', async t => {
    const log = filled(10, { ttl: 5 })
    log.expire(10)
    t.match(log, { length: 6, beginning: 4 })
    log.expire(9)
    t.match(log, { length: 6 }, 'an expired publication stays expired')
    log.expire(1_000)
    t.match(log, { length: 0, head: 10, first: 11, beginning: 10, bytes: 0 })
    t.equal(log.canRecover({ epoch: 'e', offset: 10 }), true)
    t.equal(log.canRecover({ epoch: 'e', offset: 9 }), false)
    log.append('<11>', 1_001)
    t.match(log, { length: 1, first: 11 })
  })

  t.test('publications that are kept only for a reader cannot be recovered', async t => {
    const log = new ChannelLog('e', { size: 2, ttl: 1_000, lag: 1_000_000 })
    const slow = new Cursor(log, 'never')
    for (let n = 1; n <= 10; n++) log.append(`<${n}>`, n)
    t.match(log, { length: 10, beginning: 8 })
    t.equal(log.canRecover({ epoch: 'e', offset: 7 }), false)
    slow.readAll()
    t.equal(slow.text, '<1><2><3><4><5><6><7><8><9><10>')
    log.trim()
    t.match(log, { length: 2, beginning: 8, first: 9 })
  })
})

t.test('a log keeps publications for readers that are behind', async t => {
  t.test('a log does not call catchUp while there is room', async t => {
    const log = filled(0, { size: 1 })
    const cursor = new Cursor(log)
    for (let n = 1; n <= 1_000; n++) log.append('x', 0)
    t.equal(cursor.hurries, 0)
    t.equal(log.isLost(cursor), false)
    cursor.readAll()
    t.equal(cursor.text.length, 1_000)
  })

  t.test('a log keeps exactly as many bytes for its readers as the limit says', async t => {
    const log = filled(0, { size: 1, lag: 2 * (1 + overhead) })
    const cursor = new Cursor(log)
    for (let n = 1; n <= 3; n++) log.append('x', 0)
    t.equal(cursor.hurries, 0)
    log.append('x', 0)
    t.equal(cursor.hurries, 1)
  })

  t.test('a log calls catchUp before it evicts publications that a reader needs', async t => {
    const log = filled(0, { size: 1, lag: 2_000 })
    const cursor = new Cursor(log)
    const ahead = new Cursor(log)
    ahead.wake = () => ahead.readAll()
    for (let n = 1; n <= 1_000; n++) log.append(`<${n}>`, 0)
    cursor.readAll()
    t.equal(cursor.text, ahead.text)
    t.ok(cursor.hurries > 0 && cursor.hurries < 1_000 / 10, `${cursor.hurries} times`)
    t.equal(ahead.hurries, 0)
  })

  t.test('a reader that does not read is lost, the others are not, and half of the room is free again', async t => {
    const log = filled(0, { size: 1, lag: 2_000 })
    const blocked = new Cursor(log, 'never')
    let n = 0
    while (!log.isLost(blocked)) log.append(`<${++n}>`, 0)
    t.ok(log.bytes <= 1_000 + overhead + 5)
    const late = new Cursor(log, 'never', log.first - 1)
    t.equal(log.isLost(late), false)
    late.readAll()
    t.ok(late.text.endsWith(`<${n}>`))
    log.skipToHead(blocked)
    t.equal(log.isLost(blocked), false)
    t.equal(log.read(blocked, 100), '')
    log.append('next', 0)
    t.equal(log.read(blocked, 100), 'next')
  })

  t.test('a log keeps publications for a reader that starts at its beginning, at any time', async t => {
    const log = filled(0, { size: 5 })
    const reads = new Cursor(log)
    reads.wake = () => reads.readAll()
    for (let n = 1; n <= 200; n++) {
      log.append('x', 0)
      const late = new Cursor(log, 'never', log.beginning)
      // The number varies, so that the reader starts at every distance from a check of the readers.
      for (let more = 7 + n % 5; more > 0; more--) log.append('x', 0)
      if (log.isLost(late)) t.fail(`after ${n}`)
      log.remove(late)
    }
  })

  t.test('a log keeps no publications for a reader that was removed', async t => {
    const log = filled(0, { size: 2 })
    const cursor = new Cursor(log, 'never')
    for (let n = 1; n <= 10; n++) log.append('x', 0)
    t.equal(log.length, 10)
    log.remove(cursor)
    log.trim()
    t.equal(log.length, 2)
  })

  t.test('a log keeps no publications for a lost reader', async t => {
    const log = filled(0, { size: 1, lag: 1_000 })
    const lost = new Cursor(log, 'never')
    for (let n = 1; n <= 40; n++) log.append('x', 0)
    t.equal(log.isLost(lost), true)
    const reads = new Cursor(log, 'hurried')
    for (let n = 1; n <= 100; n++) {
      log.append('x', 0)
      reads.readAll()
    }
    log.trim()
    t.equal(log.length, 1)
  })

  t.test('a reader is lost once a publication larger than the room leaves the history', async t => {
    const log = filled(0, { size: 1, lag: 10 })
    const cursor = new Cursor(log, 'never')
    log.append('x'.repeat(1_000), 0)
    t.equal(log.isLost(cursor), false, 'the publication is still in the history')
    log.append('y', 0)
    t.equal(log.isLost(cursor), true)
    t.match(log, { length: 1, bytes: 1 + overhead })
  })

  t.test('catchUp may remove the reader', async t => {
    const log = filled(0, { size: 1, lag: 500 })
    const cursors = [1, 2, 3].map(() => new Cursor(log, 'never'))
    for (const cursor of cursors) cursor.catchUp = () => log.remove(cursor)
    for (let n = 1; n <= 20; n++) log.append('x', 0)
    t.match(log, { length: 1, readers: [] })
  })
})

t.test('a log checks its readers at most four times per 32 publications', async t => {
  const log = filled(0, { size: 1 })
  let looks = 0
  const cursor = new Cursor(log, 'never')
  const reader = {
    epoch: 'e',
    get offset () {
      looks++
      return log.head
    },
    set offset (_offset) {},
    wake () {},
    catchUp () {}
  }
  log.add(reader)
  looks = 0
  for (let n = 1; n <= 3_200; n++) {
    log.append('x', 0)
    cursor.readAll()
  }
  t.ok(looks <= 4 * 3_200 / 32, `${looks} looks for 3,200 publications`)
  t.ok(log.length <= 34)
})

t.test('hurry calls catchUp only for readers that are behind', async t => {
  const log = filled(3)
  const cursors = [new Cursor(log), new Cursor(log, 'hurried', 1)]
  log.hurry()
  t.strictSame(cursors.map(({ hurries, text }) => [hurries, text]), [[0, ''], [1, '<2><3>']])
})

t.test('shift evicts the oldest publication, even if a reader needs it', async t => {
  const log = filled(300)
  const cursor = new Cursor(log, 'never', 150)
  for (let n = 1; n <= 150; n++) t.equal(log.shift(), `<${n}>`.length + overhead)
  t.equal(log.isLost(cursor), false)
  log.shift()
  t.equal(log.isLost(cursor), true)
  t.match(log, { first: 152, length: 149, beginning: 151 })
  const rest = new Cursor(log, 'never', 151)
  rest.readAll()
  t.ok(rest.text.startsWith('<152>') && rest.text.endsWith('<300>'))
  while (log.shift() > 0);
  t.match(log, { length: 0, bytes: 0, head: 300, beginning: 300 })
})

t.test('a reset log starts again in another epoch, and its readers are lost', async t => {
  const log = filled(5, { size: 2 })
  const cursor = new Cursor(log, 'never')
  log.append('<6>', 6)
  log.reset('f')
  t.match(log, { epoch: 'f', head: 0, length: 0, bytes: 0, first: 1, beginning: 0 })
  t.equal(cursor.wakes, 2)
  t.equal(log.isLost(cursor), true)
  for (let n = 1; n <= 7; n++) log.append(`[${n}]`, n)
  t.equal(log.isLost(cursor), true, 'a reader of another epoch is lost at any offset')
  t.equal(log.canRecover({ epoch: 'e', offset: 6 }), false)
  log.skipToHead(cursor)
  log.append('[8]', 8)
  t.equal(log.read(cursor, 100), '[8]')

  t.test('a log keeps publications for its readers after a reset', async t => {
    const log = filled(0, { size: 1 })
    const cursor = new Cursor(log)
    cursor.wake = () => cursor.readAll()
    for (let n = 1; n <= 200; n++) log.append('x', n)
    log.reset('f')
    log.skipToHead(cursor)
    cursor.wake = () => {}
    for (let n = 1; n <= 100; n++) log.append('y', n)
    t.equal(log.isLost(cursor), false)
  })
})

/** Simple model of a log. It remembers every publication; the log itself says which of them it retains. */
interface Model {
  frames: string[]
  times: number[]
  /** Offset before the oldest recoverable publication. */
  beginning: number
}

class Checked {
  readonly log: ChannelLog
  readonly limits: LogLimits
  model: Model = { frames: [], times: [], beginning: 0 }
  readonly readers: Array<{ cursor: Cursor, expected: number }> = []
  now = clockStart
  epochs = 0

  constructor (limits: LogLimits) {
    this.limits = limits
    this.log = new ChannelLog('e0', limits, frameOf)
  }

  append (length: number, isBuffer: boolean) {
    const offset = this.model.frames.length + 1
    const frame = `${offset}:`.padEnd(length, '.') + (isBuffer ? ';!' : ';')
    this.model.frames.push(frame)
    this.model.times.push(this.now)
    this.log.append(frame, this.now)
    this.model.beginning = Math.max(this.model.beginning, offset - this.limits.size)
  }

  expire () {
    this.log.expire(this.now)
    const { model, limits, now } = this
    while (model.beginning < model.frames.length && model.times[model.beginning] < now - limits.ttl) model.beginning++
  }

  shift () {
    const { first, length } = this.log
    const freed = this.log.shift()
    if ((length === 0) !== (freed === 0)) throw new Error('shift frees bytes if and only if the log is not empty')
    if (length > 0) this.model.beginning = Math.max(this.model.beginning, first)
  }

  reset () {
    this.log.reset(`e${++this.epochs}`)
    this.model = { frames: [], times: [], beginning: 0 }
  }

  add (kind: Cursor['reads'], fromBeginning: boolean) {
    this.readers.push({ cursor: new Cursor(this.log, kind, fromBeginning ? this.log.beginning : this.log.head), expected: 0 })
  }

  remove (at: number) {
    const [reader] = this.readers.splice(at % Math.max(1, this.readers.length), 1)
    if (reader !== undefined) this.log.remove(reader.cursor)
  }

  /** Reads everything or one chunk. A lost reader starts again at the head. */
  read (at: number, room: number, isAll: boolean) {
    const reader = this.readers[at % Math.max(1, this.readers.length)]
    if (reader === undefined) return
    const { cursor } = reader
    if (this.log.isLost(cursor)) return this.log.skipToHead(cursor)
    const from = cursor.offset
    cursor.chunks.length = 0
    if (isAll) cursor.readAll(room)
    else cursor.chunks.push(this.log.read(cursor, room))
    if (cursor.text !== this.model.frames.slice(from, cursor.offset).join('')) throw new Error(`from ${from} to ${cursor.offset}: ${cursor.text}`)
    if (isAll && cursor.offset !== this.log.head) throw new Error('the reader is not at the head')
    if (!isAll && from < this.log.head && cursor.offset === from) throw new Error('the reader got no publication')
    cursor.chunks.length = 0
  }

  /** Asserts the invariants that hold after every step. */
  check () {
    const { log, model, limits } = this
    const head = model.frames.length
    const retained = model.frames.slice(log.first - 1)
    const expected: Record<string, [unknown, unknown]> = {
      head: [log.head, head],
      length: [log.length, retained.length],
      bytes: [log.bytes, retained.reduce((sum, frame) => sum + frame.length + overhead, 0)],
      beginning: [log.beginning, model.beginning],
      'first is not after the beginning': [log.first <= log.beginning + 1, true],
      'only retained publications can be recovered': [log.first - 1 <= model.beginning, true],
      position: [`${log.position.epoch} ${log.position.offset}`, `e${this.epochs} ${head}`]
    }
    for (let offset = 0; offset <= head + 1; offset++) {
      expected[`canRecover ${offset}`] = [log.canRecover({ epoch: log.epoch, offset }), offset <= head && offset >= model.beginning]
    }
    const lag = model.frames.slice(log.first - 1, model.beginning).reduce((sum, frame) => sum + frame.length + overhead, 0)
    expected['the bytes kept for readers are within the lag'] = [lag <= limits.lag, true]
    for (const [what, [got, wanted]] of Object.entries(expected)) if (got !== wanted) throw new Error(`${what}: ${got}, not ${wanted}`)
    for (const { cursor } of this.readers) this.#checkReader(cursor)
  }

  /** Asserts that the publications that a reader read in `catchUp` have no gap and no repetition. */
  #checkReader (cursor: Cursor) {
    const read = cursor.text
    const wanted = this.model.frames.slice(0, cursor.offset).join('')
    if (cursor.epoch === this.log.epoch && !wanted.endsWith(read)) throw new Error(`hurried: ${read} is not the end of ${wanted}`)
    cursor.chunks.length = 0
  }
}

const kind = fc.constantFrom<Cursor['reads']>('when asked', 'hurried', 'never')

const step = fc.oneof(
  { weight: 40, arbitrary: fc.record({ do: fc.constant('append' as const), length: fc.integer({ min: 1, max: 400 }), isBuffer: fc.boolean() }) },
  { weight: 10, arbitrary: fc.record({ do: fc.constant('burst' as const), count: fc.integer({ min: 1, max: 80 }) }) },
  { weight: 20, arbitrary: fc.record({ do: fc.constant('read' as const), at: fc.nat(9), room: fc.constantFrom(1, 100, 1_000), isAll: fc.boolean() }) },
  { weight: 10, arbitrary: fc.record({ do: fc.constant('add' as const), kind, fromBeginning: fc.boolean() }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('remove' as const), at: fc.nat(9) }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constantFrom('expire' as const, 'trim' as const, 'hurry' as const, 'shift' as const) }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 400 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('reset' as const) }) }
)

type Step = typeof step extends fc.Arbitrary<infer S> ? S : never

function take (checked: Checked, step: Step): void {
  switch (step.do) {
    case 'append': return checked.append(step.length, step.isBuffer)
    case 'burst':
      for (let n = 0; n < step.count; n++) checked.append(3, false)
      return
    case 'read': return checked.read(step.at, step.room, step.isAll)
    case 'add': return checked.add(step.kind, step.fromBeginning)
    case 'remove': return checked.remove(step.at)
    case 'expire': return checked.expire()
    case 'trim': return checked.log.trim()
    case 'hurry': return checked.log.hurry()
    case 'shift': return checked.shift()
    case 'wait':
      checked.now += step.ms
      return
    case 'reset': return checked.reset()
  }
}

const limits = fc.record({
  size: fc.integer({ min: 1, max: 20 }),
  ttl: fc.integer({ min: 1, max: 1_000 }),
  lag: fc.constantFrom(1, 500, 3_000, 20_000)
})

t.test('a log equals its model after any sequence of steps', async t => {
  t.doesNotThrow(() => fc.assert(fc.property(limits, fc.array(step, { maxLength: 120, size: 'max' }), (limits, steps) => {
    const checked = new Checked(limits)
    for (const step of steps) {
      take(checked, step)
      checked.check()
    }
  }), { numRuns: 400 }))
})

t.test('a reader that reads in catchUp is never lost, except by shift and reset', async t => {
  const steps = fc.array(step.filter(({ do: what }) => what !== 'shift' && what !== 'reset'), { maxLength: 120, size: 'max' })
  t.doesNotThrow(() => fc.assert(fc.property(limits, steps, (limits, steps) => {
    const checked = new Checked(limits)
    const reader = new Cursor(checked.log, 'hurried')
    for (const step of steps) {
      take(checked, step)
      if (checked.log.isLost(reader)) throw new Error('lost')
    }
    reader.readAll()
    if (reader.text !== checked.model.frames.join('')) throw new Error('the reader did not get each publication once and in order')
  }), { numRuns: 300 }))
})

t.test('a reader is behind by the number of publications that it has not read', async t => {
  const log = new ChannelLog('e', endless)
  const reader = new Cursor(log, 'when asked')
  t.equal(log.behind(reader), 0)
  for (let n = 0; n < 3; n++) log.append('x', clockStart)
  t.equal(log.behind(reader), 3)
  reader.readAll()
  t.equal(log.behind(reader), 0)
})

t.test('readers of the plain form never get a chunk of the deflated form, and vice versa', async t => {
  const log = new ChannelLog('e', endless, (_position, body) => ({ length: body.length, plain: body, deflated: body.toUpperCase() }))
  for (const body of ['a', 'b', 'c']) log.append(body, 0)
  const text = (isDeflated: boolean) => log.read({ offset: 0, epoch: 'e', isDeflated, wake () {}, catchUp () {} }, 1_000)
  t.strictSame([false, true, false].map(text), ['abc', 'ABC', 'abc'])
})

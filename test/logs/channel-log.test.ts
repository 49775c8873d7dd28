import fc from 'fast-check'
import t from 'tap'
import { ChannelLog } from '../../lib/logs/channel-log.js'
import type { Frame, FrameOf, LogLimits, Reader } from '../../lib/logs/log.js'

const overhead = 128
const endless: LogLimits = { size: 1_000, ttl: 1_000, lag: 1_000_000 }

/** Bodies that end in ! are framed as Buffers, as large ones are. */
const frameOf: FrameOf = (_position, body) => body.endsWith('!') ? Buffer.from(body) : body

/** Keeps what it reads. With `reads: 'never'` it is a connection whose socket is blocked. */
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

t.test('an empty log can be resumed at its beginning, and nowhere else', async t => {
  const log = filled(0)
  t.match(log, { head: 0, length: 0, first: 1, bytes: 0, beginning: 0, position: { epoch: 'e', offset: 0 } })
  t.equal(log.shift(), 0)
  t.equal(new Cursor(log).text, '')
  t.equal(log.canRecover({ epoch: 'e', offset: 0 }), true)
  t.equal(log.canRecover({ epoch: 'e', offset: 1 }), false)
  t.doesNotThrow(() => { log.expire(5); log.trim(); log.hurry() })
})

t.test('append wakes each reader until it leaves', async t => {
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

t.test('read', async t => {
  t.test('puts strings together, as many as there is room for, and at least one', async t => {
    const log = filled(6)
    const cases: Array<[room: number, chunks: string[]]> =
      [[100, ['<1><2><3><4><5><6>']], [8, ['<1><2>', '<3><4>', '<5><6>']], [0, ['<1>', '<2>', '<3>', '<4>', '<5>', '<6>']]]
    for (const [room, chunks] of cases) {
      const cursor = new Cursor(log, 'hurried', 0)
      cursor.readAll(room)
      t.strictSame(cursor.chunks, chunks)
      t.equal(cursor.offset, 6)
      t.equal(log.read(cursor, room), '', 'nothing more')
    }
  })

  t.test('gives a Buffer alone, the same one to everybody, and never behind text', async t => {
    const log = filled(2)
    log.append('large!', 3)
    log.append('<4>', 4)
    const cursor = new Cursor(log, 'hurried', 0)
    t.equal(log.read(cursor, 100), '<1><2>')
    t.equal(log.read(cursor, 100, true), '', 'it does not fit behind text')
    t.equal(cursor.offset, 2)
    const buffer = log.read(cursor, 100)
    t.strictSame(buffer, Buffer.from('large!'))
    t.equal(log.read(new Cursor(log, 'hurried', 2), 100), buffer)
    t.equal(log.read(cursor, 100, true), '<4>')
  })

  t.test('what was put together for one reader is right for the next', async t => {
    const log = filled(3)
    const other = new ChannelLog('f', endless)
    for (const text of ['one', 'two', 'three']) other.append(text, 0)
    const read = (of: ChannelLog, after: number, room: number) => {
      const cursor = new Cursor(of, 'hurried', after)
      const text = of.read(cursor, room)
      return [text, cursor.offset]
    }
    t.strictSame(read(log, 0, 100), ['<1><2><3>', 3])
    t.strictSame(read(log, 0, 100), ['<1><2><3>', 3], 'the same')
    t.strictSame(read(other, 0, 100), ['onetwothree', 3], 'another log')
    t.strictSame(read(log, 0, 100), ['<1><2><3>', 3])
    t.strictSame(read(log, 1, 100), ['<2><3>', 3], 'from another place')
    t.strictSame(read(log, 0, 6), ['<1><2>', 2], 'with less room')
    log.append('<4>', 4)
    t.strictSame(read(log, 0, 6), ['<1><2>', 2], 'full: what came since does not matter')
    t.strictSame(read(log, 0, 100), ['<1><2><3><4>', 4])
    log.append('<5>', 5)
    t.strictSame(read(log, 0, 100), ['<1><2><3><4><5>', 5], 'not full: what came since belongs to it')
    log.reset('g')
    for (const text of ['a', 'b', 'c', 'd', 'e']) log.append(text, 6)
    t.strictSame(read(log, 0, 100), ['abcde', 5], 'another incarnation')
  })
})

t.test('history', async t => {
  t.test('only the last publications, as many as the size says, can be recovered', async t => {
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
    t.match(log, { length: 6 }, 'what is expired stays so')
    log.expire(1_000)
    t.match(log, { length: 0, head: 10, first: 11, beginning: 10, bytes: 0 })
    t.equal(log.canRecover({ epoch: 'e', offset: 10 }), true)
    t.equal(log.canRecover({ epoch: 'e', offset: 9 }), false)
    log.append('<11>', 1_001)
    t.match(log, { length: 1, first: 11 })
  })

  t.test('what is kept for a reader cannot be recovered by others', async t => {
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

t.test('a reader that is behind', async t => {
  t.test('is not asked while there is room', async t => {
    const log = filled(0, { size: 1 })
    const cursor = new Cursor(log)
    for (let n = 1; n <= 1_000; n++) log.append('x', 0)
    t.equal(cursor.hurries, 0)
    t.equal(log.isLost(cursor), false)
    cursor.readAll()
    t.equal(cursor.text.length, 1_000)
  })

  t.test('is asked to read before anything it needs is evicted', async t => {
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

  t.test('that does not read is lost, the others are not, and half of the room is free again', async t => {
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

  t.test('from the beginning on is waited for, whenever it comes', async t => {
    const log = filled(0, { size: 5 })
    const reads = new Cursor(log)
    reads.wake = () => reads.readAll()
    for (let n = 1; n <= 200; n++) {
      log.append('x', 0)
      const late = new Cursor(log, 'never', log.beginning)
      // Never the same number, so that it comes at each distance from where the log looks at its readers.
      for (let more = 7 + n % 5; more > 0; more--) log.append('x', 0)
      if (log.isLost(late)) t.fail(`after ${n}`)
      log.remove(late)
    }
  })

  t.test('holds nothing any more once it has left', async t => {
    const log = filled(0, { size: 2 })
    const cursor = new Cursor(log, 'never')
    for (let n = 1; n <= 10; n++) log.append('x', 0)
    t.equal(log.length, 10)
    log.remove(cursor)
    log.trim()
    t.equal(log.length, 2)
  })

  t.test('and is lost holds nothing for itself', async t => {
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

  t.test('with a message larger than all the room', async t => {
    const log = filled(0, { size: 1, lag: 10 })
    const cursor = new Cursor(log, 'never')
    log.append('x'.repeat(1_000), 0)
    t.equal(log.isLost(cursor), false, 'still in the history')
    log.append('y', 0)
    t.equal(log.isLost(cursor), true)
    t.match(log, { length: 1, bytes: 1 + overhead })
  })

  t.test('leaves when it is asked', async t => {
    const log = filled(0, { size: 1, lag: 500 })
    const cursors = [1, 2, 3].map(() => new Cursor(log, 'never'))
    for (const cursor of cursors) cursor.catchUp = () => log.remove(cursor)
    for (let n = 1; n <= 20; n++) log.append('x', 0)
    t.match(log, { length: 1, readers: [] })
  })
})

t.test('readers are not looked at with each publication', async t => {
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

t.test('hurry asks only those that are behind', async t => {
  const log = filled(3)
  const cursors = [new Cursor(log), new Cursor(log, 'hurried', 1)]
  log.hurry()
  t.strictSame(cursors.map(({ hurries, text }) => [hurries, text]), [[0, ''], [1, '<2><3>']])
})

t.test('shift evicts the oldest, whoever needs it', async t => {
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

t.test('a reset log begins anew in another epoch, and its readers are lost', async t => {
  const log = filled(5, { size: 2 })
  const cursor = new Cursor(log, 'never')
  log.append('<6>', 6)
  log.reset('f')
  t.match(log, { epoch: 'f', head: 0, length: 0, bytes: 0, first: 1, beginning: 0 })
  t.equal(cursor.wakes, 2)
  t.equal(log.isLost(cursor), true)
  for (let n = 1; n <= 7; n++) log.append(`[${n}]`, n)
  t.equal(log.isLost(cursor), true, 'whatever its offset is')
  t.equal(log.canRecover({ epoch: 'e', offset: 6 }), false)
  log.skipToHead(cursor)
  log.append('[8]', 8)
  t.equal(log.read(cursor, 100), '[8]')

  t.test('a log that was reset waits for its readers as before', async t => {
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

/** What a log does, said as plainly as possible: everything is remembered, and what is retained is asked of the log. */
interface Model {
  frames: string[]
  times: number[]
  /** Offset before the oldest that can be recovered. */
  beginning: number
}

class Checked {
  readonly log: ChannelLog
  readonly limits: LogLimits
  model: Model = { frames: [], times: [], beginning: 0 }
  readonly readers: Array<{ cursor: Cursor, expected: number }> = []
  now = 0
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
    if ((length === 0) !== (freed === 0)) throw new Error('shift frees something, or there is nothing')
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

  /** Reads all, or one chunk; who is lost starts again at the head. */
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
    if (isAll && cursor.offset !== this.log.head) throw new Error('all is up to the head')
    if (!isAll && from < this.log.head && cursor.offset === from) throw new Error('at least one')
    cursor.chunks.length = 0
  }

  /** What must hold after every step. */
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
      'nothing can be recovered that is not retained': [log.first - 1 <= model.beginning, true],
      position: [`${log.position.epoch} ${log.position.offset}`, `e${this.epochs} ${head}`]
    }
    for (let offset = 0; offset <= head + 1; offset++) {
      expected[`canRecover ${offset}`] = [log.canRecover({ epoch: log.epoch, offset }), offset <= head && offset >= model.beginning]
    }
    const lag = model.frames.slice(log.first - 1, model.beginning).reduce((sum, frame) => sum + frame.length + overhead, 0)
    expected['bounded by history and lag'] = [lag <= limits.lag, true]
    for (const [what, [got, wanted]] of Object.entries(expected)) if (got !== wanted) throw new Error(`${what}: ${got}, not ${wanted}`)
    for (const { cursor } of this.readers) this.#checkReader(cursor)
  }

  /** A reader that is hurried never has to be lost; what it read while it was hurried has no hole and no repeat. */
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

t.test('whatever happens, the log is what the model is', async t => {
  t.doesNotThrow(() => fc.assert(fc.property(limits, fc.array(step, { maxLength: 120, size: 'max' }), (limits, steps) => {
    const checked = new Checked(limits)
    for (const step of steps) {
      take(checked, step)
      checked.check()
    }
  }), { numRuns: 400 }))
})

t.test('whoever reads when it is hurried is never lost, unless something is shifted or reset', async t => {
  const steps = fc.array(step.filter(({ do: what }) => what !== 'shift' && what !== 'reset'), { maxLength: 120, size: 'max' })
  t.doesNotThrow(() => fc.assert(fc.property(limits, steps, (limits, steps) => {
    const checked = new Checked(limits)
    const reader = new Cursor(checked.log, 'hurried')
    for (const step of steps) {
      take(checked, step)
      if (checked.log.isLost(reader)) throw new Error('lost')
    }
    reader.readAll()
    if (reader.text !== checked.model.frames.join('')) throw new Error('not all of it, in order and once')
  }), { numRuns: 300 }))
})

t.test('readers of the plain and of the deflated form never get a run of the other', async t => {
  const log = new ChannelLog('e', endless, (_position, body) => ({ length: body.length, plain: body, deflated: body.toUpperCase() }))
  for (const body of ['a', 'b', 'c']) log.append(body, 0)
  const text = (isDeflated: boolean) => log.read({ offset: 0, epoch: 'e', isDeflated, wake () {}, catchUp () {} }, 1_000)
  t.strictSame([false, true, false].map(text), ['abc', 'ABC', 'abc'])
})

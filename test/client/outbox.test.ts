import { mock } from 'node:test'
import t from 'tap'
import { RealtimeError } from '../../lib/client/error.js'
import { bytesOf, outbox } from '../../lib/client/outbox.js'
import { loopTurns } from '../waiting.js'
import { clockStart } from '../clock.js'

const closed = new RealtimeError('closed', 'closed')
const before = { next: () => undefined, isReady: () => true }
const ample = { frame: 10_000, rate: 10_000, burst: 10_000 }

function open (size = 100) {
  const written: Array<{ type: string, ref: string, data?: unknown }> = []
  const box = outbox(size)
  return { box, written, write: (frame: string) => { written.push(JSON.parse(frame)) } }
}

t.beforeEach(() => mock.timers.enable({ apis: ['setTimeout'] }))
t.afterEach(() => mock.timers.reset())

t.test('a message waits for a connection, and is sent again on each new one until it is answered', async t => {
  const { box, written, write } = open()
  const first = box.send('a', 1, { timeout: 1_000 })
  box.start(write, before)
  t.match(written, [{ type: 'a', data: 1, ref: /.{10,}/ }])
  box.stop()
  box.start(write, before)
  t.equal(written.length, 2)
  t.equal(written[0].ref, written[1].ref)
  box.settle(written[0].ref)
  box.settle(written[0].ref)
  box.settle('unknown')
  await first
  box.start(write, before)
  t.equal(written.length, 2)
})

t.test('send rejects with an error of the server, after its timeout, when the queue is full and when the client is closed', async t => {
  const { box, written, write } = open(3)
  box.start(write, before, ample)
  const refused = box.send('a', 1, { timeout: 1_000 })
  box.settle(written[0].ref, new RealtimeError('handler_failed', 'no'))
  await t.rejects(refused, { code: 'handler_failed' })
  const late = box.send('b', 2, { timeout: 1_000 })
  mock.timers.tick(1_000)
  await t.rejects(late, { code: 'timeout', message: /'b'.*1000 ms/ })
  const waiting = [1, 2, 3].map(n => box.send('c', n, { timeout: 1_000 }))
  await t.rejects(box.send('c', 4, { timeout: 1_000 }), { code: 'queue_full', message: '3 messages wait' })
  box.stop(closed)
  for (const each of waiting) await t.rejects(each, { code: 'closed' })
})

t.test('the pace of a lost connection does not delay the messages on the next one', async t => {
  const { box, written, write } = open()
  box.start(write, before, { frame: 10_000, rate: 1, burst: 2 })
  const sent = [1, 2].map(n => box.send('n', n, { timeout: 1_000 }))
  t.strictSame(written.map(({ data }) => data), [1], 'the other one waits')
  box.stop()
  box.start(write, before, ample)
  t.strictSame(written.map(({ data }) => data), [1, 1, 2])
  box.stop(closed)
  for (const each of sent) await t.rejects(each, { code: 'closed' })
})

t.test('messages that came too fast are sent again after 1 s', async t => {
  let now = clockStart
  mock.method(performance, 'now', () => now)
  t.teardown(() => mock.restoreAll())
  const { box, written, write } = open()
  box.start(write, before)
  box.send('n', 1, { timeout: 60_000 }).catch(() => {})
  const pass = (ms: number) => {
    now += ms
    mock.timers.tick(ms)
  }
  box.slowDown()
  pass(1_000)
  t.equal(written.length, 1)
  pass(100)
  t.equal(written.length, 2)
  box.stop(closed)
})

t.test('a frame of exactly the limit is sent, and one with one more byte is refused', async t => {
  const { box, written, write } = open()
  const sent = box.send('n', 1, { timeout: 60_000 })
  box.start(write, before)
  const bytes = bytesOf(JSON.stringify(written[0]))
  box.start(write, before, { ...ample, frame: bytes })
  t.equal(written.length, 2)
  box.start(write, before, { ...ample, frame: bytes - 1 })
  await t.rejects(sent, { code: 'too_big' })
  t.equal(written.length, 2)
})

t.test('at most 16 messages are unanswered at the server, and the next one is sent when one is answered', async t => {
  const { box, written, write } = open()
  box.start(write, before, ample)
  for (let n = 0; n < 20; n++) box.send('n', n, { timeout: 60_000 }).catch(() => {})
  t.equal(written.length, 16)
  box.settle(written[0].ref)
  t.strictSame(written.map(({ data }) => data), Array.from({ length: 17 }, (_, n) => n))
  box.stop()
  box.start(write, before, ample)
  t.strictSame(written.slice(17).map(({ data }) => data), Array.from({ length: 16 }, (_, n) => n + 1), 'sent again, in order')
  box.stop(closed)
})

t.test('a timeout longer than the maximum delay of timers does not fire at once', async t => {
  const { box } = open()
  for (const timeout of [Infinity, 2 ** 31, 2 ** 40]) {
    let isLate = false
    box.send('n', 1, { timeout }).catch(() => { isLate = true })
    mock.timers.tick(86_400_000)
    await Promise.resolve()
    t.equal(isLate, false)
  }
  box.stop(closed)
})

t.test('bytesOf returns the size of a frame in UTF-8', async t => {
  for (const text of ['', 'plain "quoted" %41', 'é', '漢字', '👋🏽', `a${'ü'.repeat(1_000)}`]) {
    t.equal(bytesOf(text), Buffer.byteLength(text), text.slice(0, 20))
  }
})

t.test('a frame that is too big is refused when it is sent or when the limit becomes known, and the others are sent', async t => {
  const { box, written, write } = open()
  const early = box.send('n', 'ü'.repeat(600), { timeout: 60_000 })
  const small = box.send('n', 'ü'.repeat(100), { timeout: 60_000 })
  box.start(write, before, { ...ample, frame: 1_000 })
  await t.rejects(early, { code: 'too_big', message: /^1\d\d\d bytes, at most 1000$/ })
  await t.rejects(box.send('n', 'x'.repeat(1_000), { timeout: 60_000 }), { code: 'too_big' })
  t.equal(written.length, 1)
  box.settle(written[0].ref)
  await small
})

t.test('after a close with 1009 the largest sent message and all larger ones are refused, and no others', async t => {
  const { box, written, write } = open()
  const outcomes: string[] = []
  box.start(write, before, ample)
  for (const length of [10, 3_000, 200]) box.send('n', 'x'.repeat(length), { timeout: 60_000 }).catch(({ code }) => outcomes.push(`${length} ${code}`))
  box.stop()
  box.send('n', 'x'.repeat(5_000), { timeout: 60_000 }).catch(({ code }) => outcomes.push(`unsent ${code}`))
  box.refuseLargest()
  await loopTurns()
  t.strictSame(outcomes.sort(), ['3000 too_big', 'unsent too_big'])
  box.start(write, before, ample)
  t.strictSame(written.slice(3).map(({ data }) => String(data).length).slice(0, 2), [10, 200])
  box.stop(closed)
})

t.test('after a close with 1009 of a shared connection, a smaller message than the largest frame is not refused', async t => {
  const { box, write } = open()
  let isRefused = false
  box.start(write, before, ample)
  box.send('n', 'x'.repeat(500), { timeout: 60_000 }).catch(({ code }) => { isRefused = code === 'too_big' })
  box.refuseLargest(1_000)
  await loopTurns()
  t.equal(isRefused, false)
  box.refuseLargest(400)
  await loopTurns()
  t.equal(isRefused, true)
})

t.test('a close with 1009 when nothing was sent refuses no message', async t => {
  const { box, written, write } = open()
  const sent = box.send('n', 1, { timeout: 60_000 })
  box.refuseLargest()
  box.refuseLargest(0)
  box.start(write, before)
  box.settle(written[0].ref)
  await t.resolves(sent)
})

t.test('the messages to a channel that has ended are refused, and no others', async t => {
  const { box, written, write } = open()
  box.start(write, before, ample)
  const ended = box.send('n', 1, { channel: 'board:b1', timeout: 60_000 })
  const others = [box.send('n', 2, { channel: 'board:b2', timeout: 60_000 }), box.send('n', 3, { timeout: 60_000 })]
  box.refuse('board:b1', new RealtimeError('removed', 'board:b1: removed'))
  await t.rejects(ended, { code: 'removed' })
  for (const { ref } of written.slice(1)) box.settle(ref, undefined, 'answer')
  t.strictSame(await Promise.all(others), ['answer', 'answer'])
})

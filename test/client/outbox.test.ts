import { mock } from 'node:test'
import t from 'tap'
import { RealtimeError } from '../../lib/client/error.js'
import { Outbox } from '../../lib/client/outbox.js'

function open (options = {}) {
  const outbox = new Outbox({ size: 3, rate: 10, burst: 2, window: 50, ...options })
  const written: Array<{ type: string, ref: string, data?: unknown }> = []
  return { outbox, written, write: (frame: string) => { written.push(JSON.parse(frame)) } }
}

t.beforeEach(() => mock.timers.enable({ apis: ['setTimeout'] }))
t.afterEach(() => mock.timers.reset())

t.test('what is sent waits for a connection, and is sent again on the next one until it is answered', async t => {
  const { outbox, written, write } = open()
  const first = outbox.send('a', 1, 1_000)
  outbox.open(write)
  t.match(written, [{ type: 'a', data: 1, ref: /.{10,}/ }])
  outbox.pause()
  outbox.open(write)
  t.equal(written.length, 2)
  t.equal(written[0].ref, written[1].ref)
  outbox.settle(written[0].ref)
  outbox.settle(written[0].ref)
  outbox.settle('unknown')
  await first
  outbox.open(write)
  t.equal(written.length, 2)
})

t.test('an error, a timeout, a full queue, a close', async t => {
  const { outbox, written, write } = open({ burst: 10 })
  outbox.open(write)
  const refused = outbox.send('a', 1, 1_000)
  outbox.settle(written[0].ref, new RealtimeError('handler_failed', 'no'))
  await t.rejects(refused, { code: 'handler_failed' })
  const late = outbox.send('b', 2, 1_000)
  mock.timers.tick(1_000)
  await t.rejects(late, { code: 'timeout', message: /'b'.*1000 ms/ })
  const waiting = [1, 2, 3].map(n => outbox.send('c', n, 1_000))
  await t.rejects(outbox.send('c', 4, 1_000), { code: 'queue_full' })
  outbox.close()
  for (const each of waiting) await t.rejects(each, { code: 'closed' })
})

t.test('no faster than the server takes it, in order', async t => {
  const { outbox, written, write } = open({ size: 100 })
  outbox.open(write)
  for (let n = 0; n < 6; n++) outbox.send('n', n, 60_000).catch(() => {})
  t.equal(written.length, 2)
  for (let tries = 0; tries < 200 && written.length < 6; tries++) {
    await new Promise(resolve => setImmediate(resolve))
    mock.timers.tick(10)
  }
  t.ok(written.length < 6, 'time is that of the clock, not of the timers')
  outbox.close()
})

t.test('what came too fast goes out again', async t => {
  const { outbox, written, write } = open()
  outbox.open(write)
  outbox.send('n', 1, 60_000).catch(() => {})
  outbox.slowDown()
  t.equal(written.length, 1, 'later')
  outbox.pause()
  outbox.close()
})

t.test('no more at once than the window, and the next when one is answered', async t => {
  const { outbox, written, write } = open({ size: 100, burst: 100, window: 3 })
  outbox.open(write)
  for (let n = 0; n < 10; n++) outbox.send('n', n, 60_000).catch(() => {})
  t.equal(written.length, 3)
  outbox.settle(written[0].ref)
  t.strictSame(written.map(({ data }) => data), [0, 1, 2, 3])
  outbox.pause()
  outbox.open(write)
  t.strictSame(written.slice(4).map(({ data }) => data), [1, 2, 3], 'again, in order')
  outbox.close()
})

t.test('a timeout longer than timers can count', async t => {
  const { outbox } = open()
  let isLate = false
  outbox.send('n', 1, Infinity).catch(() => { isLate = true })
  mock.timers.tick(86_400_000)
  await Promise.resolve()
  t.equal(isLate, false)
  outbox.close()
})

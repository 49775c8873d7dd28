import { mock } from 'node:test'
import t from 'tap'
import { Timers } from '../../lib/time/timers.js'
import { TimeoutError, within } from '../../lib/time/within.js'
import { loopTurns } from '../waiting.js'

const never = new Promise<string>(() => {})

t.test('within settles like a promise that settles in time, and clears its timer', async t => {
  const cleared = mock.method(globalThis, 'clearTimeout')
  t.teardown(() => cleared.mock.restore())
  t.equal(await within(10_000, Promise.resolve('done')), 'done')
  await t.rejects(within(10_000, Promise.reject(new Error('failed'))), { message: 'failed' })
  t.equal(cleared.mock.callCount(), 2)
})

t.test('within rejects when a promise takes too long, whatever its later outcome', async t => {
  for (const settle of ['resolve', 'reject'] as const) {
    const { promise, ...work } = withResolvers<string>()
    const error = await within(1, promise).catch(error => error)
    t.type(error, TimeoutError)
    t.match(error, { message: 'not done within 1 ms' })
    work[settle]('late')
  }
  // An unhandled rejection would end this process.
  await loopTurns()
})

t.test('the caller can choose the error and the timers', async t => {
  await t.rejects(within(1, never, { late: () => new Error('no answer') }), { message: 'no answer' })
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  const timers = new Timers()
  const outcomes: string[] = []
  const note = (promise: Promise<unknown>, name: string) => promise.catch(() => outcomes.push(name))
  note(within(10, never, timers), 'closed')
  const other = note(within(20, never, new Timers()), 'other')
  timers.close()
  mock.timers.tick(20)
  await other
  t.strictSame(outcomes, ['other'])
})

function withResolvers<T> () {
  let resolve!: (value: T) => void
  let reject!: (reason: unknown) => void
  const promise = new Promise<T>((_resolve, _reject) => { resolve = _resolve; reject = _reject })
  return { promise, resolve, reject }
}

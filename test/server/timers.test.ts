import { mock } from 'node:test'
import t from 'tap'
import { TimeoutError, Timers } from '../../lib/server/timers.js'

const day = 24 * 60 * 60 * 1000

t.beforeEach(() => mock.timers.enable({ apis: ['setTimeout'] }))
t.afterEach(() => mock.timers.reset())

t.test('acts after the time, unless it is cancelled', async t => {
  const timers = new Timers()
  const acted: string[] = []
  timers.after(1_000, () => acted.push('kept'))
  timers.after(1_000, () => acted.push('cancelled'))()
  mock.timers.tick(1_000)
  t.strictSame(acted, ['kept'])
})

t.test('counts longer than setTimeout can', async t => {
  const timers = new Timers()
  let acted = 0
  timers.after(60 * day, () => acted++)
  const cancel = timers.after(60 * day, () => acted++)
  mock.timers.tick(2 ** 31 - 1)
  mock.timers.tick(2 ** 31 - 1)
  t.equal(acted, 0)
  cancel()
  mock.timers.tick(60 * day - 2 * (2 ** 31 - 1))
  t.equal(acted, 1)
})

t.test('a promise is given so long', async t => {
  const timers = new Timers()
  t.equal(await timers.within(1_000, Promise.resolve('done')), 'done')
  await t.rejects(timers.within(1_000, Promise.reject(new Error('failed'))), { message: 'failed' })
  const late = timers.within(1_000, new Promise(() => {}))
  mock.timers.tick(1_000)
  await t.rejects(late, TimeoutError)
})

t.test('nothing happens after close', async t => {
  const timers = new Timers()
  timers.after(1_000, () => t.fail())
  timers.close()
  mock.timers.tick(1_000)
})

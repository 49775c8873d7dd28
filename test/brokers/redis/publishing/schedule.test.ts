import { mock } from 'node:test'
import t from 'tap'
import { Schedule } from '../../../../lib/brokers/redis/publishing/schedule.js'

function make () {
  let sends = 0
  return { schedule: new Schedule(() => { sends++ }), sends: () => sends }
}

t.test('what is to be sent after this turn is sent once, then', async t => {
  const { schedule, sends } = make()
  schedule.afterTurn()
  schedule.afterTurn()
  t.equal(sends(), 0)
  await new Promise(resolve => setImmediate(resolve))
  t.equal(sends(), 1)
})

t.test('while a batch is under way the next one gathers for 100 ms from when that was sent', async t => {
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  const { schedule, sends } = make()
  schedule.sent(performance.now())
  schedule.onceGathered()
  schedule.onceGathered()
  mock.timers.tick(90)
  t.equal(sends(), 0)
  mock.timers.tick(10)
  t.equal(sends(), 1)
})

t.test('what is cancelled is not sent, and can be planned again', async t => {
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  const { schedule, sends } = make()
  schedule.afterTurn()
  schedule.onceGathered()
  schedule.cancel()
  await new Promise(resolve => setImmediate(resolve))
  mock.timers.tick(1_000)
  t.equal(sends(), 0)
  schedule.afterTurn()
  schedule.onceGathered()
  await new Promise(resolve => setImmediate(resolve))
  mock.timers.tick(1_000)
  t.equal(sends(), 2)
})

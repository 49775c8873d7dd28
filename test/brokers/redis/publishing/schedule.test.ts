import { mock } from 'node:test'
import t from 'tap'
import { Schedule } from '../../../../lib/brokers/redis/publishing/schedule.js'
import { loopTurns } from '../../../waiting.js'

function make () {
  let sends = 0
  return { schedule: new Schedule(() => { sends++ }), sends: () => sends }
}

t.test('two calls of afterTurn send once, after the current turn', async t => {
  const { schedule, sends } = make()
  schedule.afterTurn()
  schedule.afterTurn()
  t.equal(sends(), 0)
  await loopTurns()
  t.equal(sends(), 1)
})

t.test('two calls of onceGathered send once, 100 ms after the last batch was sent', async t => {
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

t.test('cancel stops all scheduled sending, which can be scheduled again', async t => {
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  const { schedule, sends } = make()
  schedule.afterTurn()
  schedule.onceGathered()
  schedule.cancel()
  await loopTurns()
  mock.timers.tick(1_000)
  t.equal(sends(), 0)
  schedule.afterTurn()
  schedule.onceGathered()
  await loopTurns()
  mock.timers.tick(1_000)
  t.equal(sends(), 2)
})

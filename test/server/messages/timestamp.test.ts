import { mock } from 'node:test'
import t from 'tap'
import { timestamp } from '../../../lib/server/messages/timestamp.js'

t.test('timestamp() returns the current time, also after the clock is set back', async t => {
  mock.timers.enable({ apis: ['Date'], now: 1 })
  t.teardown(() => mock.timers.reset())
  for (const ms of [0, 0, 1, 1, 999, 1_000, 1_001, 999, 86_400_000, 86_400_050, 1_800_000_000_000, 5]) {
    mock.timers.setTime(ms)
    t.equal(timestamp(), new Date(ms).toISOString())
  }
})

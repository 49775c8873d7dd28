import { mock } from 'node:test'
import t from 'tap'
import { Unanswered } from '../../../lib/react/state/unanswered.js'
import { gate } from '../../waiting.js'

t.test('none resolves when all messages are answered or refused', async t => {
  const unanswered = new Unanswered()
  await unanswered.none()
  const [first, second] = [gate(), gate()]
  const sent = unanswered.add(first.opened)
  t.equal(sent, first.opened)
  const refused = unanswered.add(second.opened.then(() => { throw new Error('no') }))
  let isOver = false
  const over = unanswered.none().then(() => { isOver = true })
  first.open()
  await first.opened
  t.equal(isOver, false)
  second.open()
  await t.rejects(refused, { message: 'no' })
  await over
  await unanswered.none()
})

t.test('with nothing unanswered, or nothing left, no timer is set', async t => {
  const { mock: timer } = mock.method(globalThis, 'setTimeout')
  t.teardown(() => timer.restore())
  const unanswered = new Unanswered()
  await unanswered.none()
  await unanswered.add(Promise.resolve())
  await unanswered.none()
  t.equal(timer.callCount(), 0)
})

t.test('none resolves after 5 s at the latest', async t => {
  const { timers } = mock
  timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => timers.reset())
  const unanswered = new Unanswered()
  unanswered.add(new Promise(() => {}))
  const over = unanswered.none()
  timers.tick(5_000)
  await over
})

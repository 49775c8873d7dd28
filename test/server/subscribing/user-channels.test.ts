import t, { type Test } from 'tap'
import { UserChannels, type Applicant } from '../../../lib/server/subscribing/user-channels.js'
import { movedClock } from '../../clock.js'
import { loopTurns } from '../../waiting.js'
const connection = (userId = 'u', isEnding = false) => ({ userId, isEnding })

/** Channels of users on a clock that the test moves. `ask` asks for turns, and returns the number of those that came. */
function setup (t: Test, most = 400) {
  const { clock, timers, planned, pass } = movedClock(t)
  const users = new UserChannels({ clock, timers, most })
  const ask = (applicant: Applicant, count: number) => {
    const got = { turns: 0 }
    for (let n = 0; n < count; n++) users.turn(applicant).then(() => { got.turns++ })
    return got
  }
  return { users, planned, ask, async pass (ms: number) { pass(ms); await loopTurns() } }
}

t.test('a user may subscribe to 200 channels at once and to 20 per second, on all connections together', async t => {
  const { ask, pass } = setup(t)
  const [first, second] = [ask(connection(), 150), ask(connection(), 100)]
  await pass(0)
  t.strictSame([first.turns, second.turns], [150, 50])
  await pass(1_000)
  t.equal(second.turns, 70)
  await pass(1_499)
  t.ok(second.turns < 100)
  await pass(51)
  t.equal(second.turns, 100)
})

t.test('the turns of a user come in the order of the calls, and another user does not wait', async t => {
  const { users, ask, pass } = setup(t)
  // Users are served every 50 ms from now on, and this user's tokens are refilled at other times.
  ask(connection('w'), 1)
  await pass(25)
  ask(connection(), 200)
  const order: number[] = []
  for (let n = 0; n < 20; n++) users.turn(connection()).then(() => { order.push(n) })
  const other = ask(connection('v'), 10)
  await pass(0)
  t.strictSame([order.length, other.turns], [0, 10])
  await pass(55)
  t.equal(order.length, 0, 'the bucket has a token, and the user is served in 20 ms')
  users.turn(connection()).then(() => { order.push(20) })
  await pass(1_100)
  t.strictSame(order, Array.from({ length: 21 }, (_, n) => n))
})

t.test('the turns of a connection that has ended come within 50 ms, and cost nothing', async t => {
  const { ask, pass } = setup(t)
  const ended = connection()
  const [lost, open] = [ask(ended, 1_200), ask(connection(), 20)]
  await pass(0)
  t.strictSame([lost.turns, open.turns], [200, 0])
  ended.isEnding = true
  await pass(50)
  t.equal(lost.turns, 1_200)
  await pass(1_000)
  t.equal(open.turns, 20)
})

t.test('a user has at most the given number of channels, and another one for each that is released', async t => {
  const { users } = setup(t, 3)
  const take = (count: number) => Array.from({ length: count }, () => users.take('u'))
  t.strictSame(take(4), [true, true, true, false])
  t.equal(users.take('v'), true)
  users.release('u')
  t.strictSame(take(2), [true, false])
  users.release('u', 3)
  t.strictSame(take(4), [true, true, true, false])
  t.doesNotThrow(() => users.release('unknown'))
})

t.test('a user without channels is forgotten once the budget is full again, and no timer remains', async t => {
  const { users, planned, ask, pass } = setup(t)
  ask(connection('u'), 200)
  ask(connection('v'), 1)
  users.take('u')
  users.take('v')
  users.release('v')
  await pass(9_000)
  t.equal(users.size, 1, 'u has a channel, v has none')
  await pass(9_000)
  t.strictSame([users.size, planned.size], [1, 0], 'a user who has channels needs no timer')
  users.release('u')
  await pass(50)
  t.strictSame([users.size, planned.size], [0, 0])
})

t.test('a user without channels is known until the budget is full again', async t => {
  const { users, ask, pass } = setup(t)
  ask(connection(), 200)
  await pass(9_950)
  t.equal(users.size, 1)
  const again = ask(connection(), 250)
  await pass(0)
  t.equal(again.turns, 199)
})

t.test('a user with channels is known, also when other users are served', async t => {
  const { users, ask, pass } = setup(t, 1)
  users.take('u')
  await pass(20_000)
  ask(connection('v'), 1)
  await pass(1_000)
  t.strictSame([users.size, users.take('u')], [1, false])
})

t.test('a user who has no channel and waits is known', async t => {
  const { users, ask, pass } = setup(t)
  const got = ask(connection(), 300)
  await pass(4_900)
  t.equal(users.size, 1)
  await pass(150)
  t.equal(got.turns, 300)
  await pass(10_050)
  t.equal(users.size, 0)
})

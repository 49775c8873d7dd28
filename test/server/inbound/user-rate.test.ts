import t, { type Test } from 'tap'
import { UserRates, type UserLimits, type Source } from '../../../lib/server/inbound/user-rate.js'
import { movedClock } from '../../clock.js'

/** Rates of users on a clock that the test moves. */
function setup (t: Test, limits: Partial<UserLimits> = {}) {
  const { clock, timers, planned, pass } = movedClock(t)
  const state = { holds: 0 }
  const onHold = () => { state.holds++ }
  const userRates = new UserRates({ rate: 100, burst: 200, bytes: 1_000_000, ...limits }, { clock, timers, onHold })
  return { userRates, planned, state, turn: pass }
}

function source (): Source & { isHeld: boolean, turns: number } {
  return {
    isHeld: false,
    turns: 0,
    onHeld () { this.isHeld = true; this.turns++ },
    onReleased () { this.isHeld = false; this.turns++ }
  }
}

t.test('a frame costs a token for each 2 KiB that it begins, and one at least', async t => {
  for (const [bytes, frames] of [[0, 200], [1, 200], [2_048, 200], [2_049, 100], [65_536, 6]]) {
    const { userRates } = setup(t)
    const user = userRates.of('u')
    for (let n = 0; n < frames; n++) user.receive(bytes)
    t.equal(user.isHeld, false, `${frames} of ${bytes} bytes`)
    user.receive(bytes)
    t.equal(user.isHeld, true, 'and one more')
  }
})

t.test('what a user asks for costs a token for each 64 KiB that it begins, and one at least', async t => {
  for (const [bytes, times] of [[0, 200], [65_536, 200], [65_537, 100]]) {
    const { userRates } = setup(t)
    const user = userRates.of('u')
    for (let n = 0; n < times; n++) user.request(bytes)
    t.equal(user.isHeld, false, `${times} of ${bytes} bytes`)
    user.request(bytes)
    t.equal(user.isHeld, true, 'and one more')
  }
})

t.test('all connections of a user are held until what is too much has come back', async t => {
  const { userRates, state, turn } = setup(t)
  const user = userRates.of('u')
  const [a, b] = [source(), source()]
  user.join(a)
  user.join(b)
  const other = source()
  userRates.of('v').join(other)
  for (let n = 0; n < 250; n++) user.receive(1)
  t.same([a.isHeld, b.isHeld, other.isHeld], [true, true, false])
  turn(499)
  t.same([a.isHeld, b.isHeld], [true, true])
  turn(2)
  t.same([a.isHeld, b.isHeld], [false, false])
  t.same([a.turns, b.turns, state.holds], [2, 2, 1], 'once each way')
})

t.test('a source that sends too much again when it is released holds the others again', async t => {
  const { userRates, planned, turn } = setup(t)
  const user = userRates.of('u')
  const [a, b] = [source(), source()]
  a.onReleased = () => {
    a.isHeld = false
    user.receive(100 * 2_048)
  }
  user.join(a)
  user.join(b)
  user.receive(250 * 2_048)
  turn(501)
  t.same([a.isHeld, b.isHeld, user.isHeld], [true, true, true])
  t.equal(planned.size, 1)
  turn(999)
  t.equal(user.isHeld, true)
})

t.test('whoever reconnects is still the same user', async t => {
  const { userRates, turn } = setup(t)
  const first = source()
  const user = userRates.of('u')
  user.join(first)
  for (let n = 0; n < 300; n++) user.receive(1)
  user.leave(first)
  turn(500)
  const again = source()
  userRates.known('u')!.join(again)
  t.equal(again.isHeld, true)
  turn(501)
  t.equal(again.isHeld, false)
})

t.test('a user who holds more than is still free is read later', async t => {
  const { userRates, turn } = setup(t, { bytes: 100 })
  const [a, b] = [source(), source()]
  const heavy = userRates.of('heavy')
  const light = userRates.of('light')
  heavy.join(a)
  light.join(b)
  heavy.add(50)
  t.equal(a.isHeld, false)
  light.add(10)
  heavy.add(1)
  t.same([a.isHeld, b.isHeld], [true, false])
  light.release(10)
  turn(50)
  t.same([a.isHeld, b.isHeld], [true, false], '51 of 100 are still too much')
  heavy.release(1)
  t.equal(a.isHeld, false)
  heavy.add(1)
  heavy.release(51)
  t.equal(a.isHeld, false)
  t.equal(userRates.held.used, 0)
})

t.test('room that others give back is noticed', async t => {
  const { userRates, turn } = setup(t, { bytes: 100 })
  const a = source()
  const user = userRates.of('u')
  user.join(a)
  const other = userRates.of('other')
  other.join(source())
  other.add(40)
  user.add(31)
  t.equal(a.isHeld, true)
  other.release(40)
  turn(50)
  t.equal(a.isHeld, false)
})

t.test('a user who holds nothing is released in time, whatever others hold', async t => {
  const { userRates, turn } = setup(t, { bytes: 100 })
  userRates.of('heavy').add(150)
  const a = source()
  const user = userRates.of('u')
  user.join(a)
  user.receive(201 * 2_048)
  t.equal(a.isHeld, true)
  turn(11)
  t.equal(a.isHeld, false)
})

t.test('a user who is gone is known until all tokens are back, and looked at once a second', async t => {
  const { userRates, planned, turn } = setup(t)
  const [user, connection] = [userRates.of('u'), source()]
  t.equal(userRates.of('u'), user)
  user.join(connection)
  user.receive(150 * 2_048)
  user.leave(connection)
  userRates.of('v').request(0)
  t.equal(planned.size, 1)
  turn(1_000)
  t.strictSame([userRates.known('u'), userRates.known('v'), planned.size], [user, undefined, 1])
  turn(1_000)
  t.strictSame([userRates.size, planned.size], [0, 0])
})

t.test('a user who is gone alone is forgotten too', async t => {
  const { userRates, turn } = setup(t)
  userRates.of('u').request(0)
  turn(2_000)
  t.equal(userRates.size, 0)
})

t.test('a user who is connected or has come back in time is known', async t => {
  const { userRates, turn } = setup(t)
  const [user, connection] = [userRates.of('u'), source()]
  user.join(connection)
  user.request(0)
  turn(2_000)
  t.equal(userRates.known('u'), user)
  user.leave(connection)
  user.join(connection)
  turn(2_000)
  t.equal(userRates.known('u'), user)
})

t.test('nothing is left of users who are gone, once their tokens are back and their messages are handled', async t => {
  const { userRates, planned, turn } = setup(t)
  for (let n = 0; n < 100; n++) {
    const user = userRates.of(`u${n}`)
    const connection = source()
    user.join(connection)
    for (let m = 0; m < 250; m++) user.receive(1)
    user.add(10)
    user.leave(connection)
  }
  t.equal(userRates.size, 100)
  turn(3_000)
  t.equal(userRates.size, 100, 'while something of them is handled')
  for (let n = 0; n < 100; n++) userRates.of(`u${n}`).release(10)
  turn(3_000)
  t.same([userRates.size, planned.size, userRates.held.used], [0, 0, 0])
})

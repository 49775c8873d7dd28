import t, { type Test } from 'tap'
import { UserRates, type UserLimits, type FrameSource } from '../../../lib/server/inbound/user-rate.js'
import { movedClock } from '../../clock.js'

/** Rates of users on a clock that the test moves. */
function setup (t: Test, limits: Partial<UserLimits> = {}) {
  const { clock, timers, planned, pass } = movedClock(t)
  const state = { holds: 0 }
  const onHold = () => { state.holds++ }
  const userRates = new UserRates({ rate: 100, burst: 200, bytes: 1_000_000, ...limits }, { clock, timers, onHold })
  return { userRates, planned, state, turn: pass }
}

function source (): FrameSource & { isHeld: boolean, turns: number } {
  return {
    isHeld: false,
    turns: 0,
    onHeld () { this.isHeld = true; this.turns++ },
    onReleased () { this.isHeld = false; this.turns++ }
  }
}

t.test('a frame costs a token for each started 2 KiB, and at least one', async t => {
  for (const [bytes, frames] of [[0, 200], [1, 200], [2_048, 200], [2_049, 100], [65_536, 6]]) {
    const { userRates } = setup(t)
    const user = userRates.of('u')
    for (let n = 0; n < frames; n++) user.receive(bytes)
    t.equal(user.isHeld, false, `${frames} frames of ${bytes} bytes do not hold the user`)
    user.receive(bytes)
    t.equal(user.isHeld, true, 'one more holds the user')
  }
})

t.test('requested data costs a token for each started 64 KiB, and at least one', async t => {
  for (const [bytes, times] of [[0, 200], [65_536, 200], [65_537, 100]]) {
    const { userRates } = setup(t)
    const user = userRates.of('u')
    for (let n = 0; n < times; n++) user.request(bytes)
    t.equal(user.isHeld, false, `${times} requests of ${bytes} bytes do not hold the user`)
    user.request(bytes)
    t.equal(user.isHeld, true, 'one more holds the user')
  }
})

t.test('all connections of a user are held until the debt of tokens is refilled', async t => {
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
  t.same([a.turns, b.turns, state.holds], [2, 2, 1], 'each connection is held once and released once')
})

t.test('a source that exceeds the rate again when it is released holds the other sources again', async t => {
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

t.test('a user who reconnects is held until the debt of tokens is refilled', async t => {
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

t.test('a user whose messages take more bytes than are still free is held', async t => {
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
  t.same([a.isHeld, b.isHeld], [true, false], '51 of 100 bytes still hold the user')
  heavy.release(1)
  t.equal(a.isHeld, false)
  heavy.add(1)
  heavy.release(51)
  t.equal(a.isHeld, false)
  t.equal(userRates.held.used, 0)
})

t.test('a held user is released within 50 ms after another user releases bytes', async t => {
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

t.test('a user without unhandled messages is released in time, also if other users take all bytes', async t => {
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

t.test('a disconnected user is known until all tokens are refilled, which is checked once per second', async t => {
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

t.test('a user without connections is forgotten, also if it is the only one', async t => {
  const { userRates, turn } = setup(t)
  userRates.of('u').request(0)
  turn(2_000)
  t.equal(userRates.size, 0)
})

t.test('the rate of a user is kept while the user is connected, and across a quick reconnect', async t => {
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
  user.leave(connection)
  turn(2_000)
  t.equal(userRates.size, 0)
})

t.test('disconnected users are forgotten once their tokens are refilled and their messages are handled', async t => {
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
  t.equal(userRates.size, 100, 'users with messages that are being handled are known')
  for (let n = 0; n < 100; n++) userRates.of(`u${n}`).release(10)
  turn(3_000)
  t.same([userRates.size, planned.size, userRates.held.used], [0, 0, 0])
})

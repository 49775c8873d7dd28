import { mock } from 'node:test'
import t from 'tap'
import { presence, shownPresence } from '../../../lib/client/channels/presence.js'
import * as roster from '../../../lib/client/channels/roster.js'
import { listeners } from '../../../lib/client/listeners.js'
import { eventually, loopTurns } from '../../waiting.js'

t.beforeEach(() => mock.timers.enable({ apis: ['setTimeout'] }))
t.afterEach(() => mock.timers.reset())

const ada = { user_id: 'ada', connections: [{ id: 'a1' }] }
const bob = { user_id: 'bob', connections: [{ id: 'b1' }] }

/** `isHeld`: the code for frames is loaded when the test settles `loads`. */
function make (t: { teardown (action: () => void): void }, isHeld = false) {
  const sent: unknown[] = []
  const errors: unknown[] = []
  const answers: Array<(error?: Error) => void> = []
  const loads: Array<{ resolve (code: typeof roster): void, reject (error: Error): void }> = []
  const report = (error: unknown) => errors.push(error)
  const events = listeners(report)
  const own = presence(async data => {
    sent.push(data)
    await new Promise<void>((resolve, reject) => answers.push(error => error ? reject(error) : resolve()))
  }, report, () => events.tell(' presence'), undefined, isHeld ? () => new Promise((resolve, reject) => { loads.push({ resolve, reject }) }) : undefined)
  t.teardown(() => own.setOpen(false))
  return { own, shown: shownPresence(own.snapshot, own.update, events), sent, errors, answers, loads }
}

t.test('updates are sent at once, then at most every 200 ms, the latest last', async t => {
  const { own, sent } = make(t)
  own.setOpen(true)
  for (let x = 0; x < 50; x++) own.update({ x })
  t.strictSame(sent, [{ x: 0 }])
  mock.timers.tick(199)
  t.equal(sent.length, 1)
  mock.timers.tick(1)
  t.strictSame(sent, [{ x: 0 }, { x: 49 }])
  mock.timers.tick(1_000)
  t.equal(sent.length, 2)
})

t.test('the same data is sent once, and undefined removes it', async t => {
  const { own, sent } = make(t)
  own.setOpen(true)
  own.update(undefined)
  t.strictSame(sent, [], 'nothing to remove')
  for (const data of [{ typing: true }, { typing: true }, undefined, undefined]) {
    own.update(data)
    mock.timers.tick(200)
  }
  t.strictSame(sent, [{ typing: true }, undefined])
})

t.test('data that changes back before it was sent is not sent', async t => {
  const { own, sent } = make(t)
  own.setOpen(true)
  own.update(1)
  own.update(2)
  own.update(1)
  mock.timers.tick(200)
  t.strictSame(sent, [1])
})

t.test('data waits until the channel is open, and is sent again each time it is, unless it was removed', async t => {
  const { own, sent } = make(t)
  own.update({ x: 1 })
  t.strictSame(sent, [])
  own.setOpen(true)
  t.strictSame(sent, [{ x: 1 }])
  mock.timers.tick(200)
  own.setOpen(false)
  own.update({ x: 2 })
  t.equal(sent.length, 1)
  own.setOpen(true)
  t.strictSame(sent.slice(1), [{ x: 2 }])
  mock.timers.tick(200)
  own.setOpen(true)
  t.strictSame(sent.slice(2), [{ x: 2 }], 'subscribed again without an interruption')
  mock.timers.tick(200)
  own.setOpen(false)
  own.update(undefined)
  own.setOpen(true)
  mock.timers.tick(200)
  t.equal(sent.length, 3)
})

t.test('data that is changed by the app after an update is sent as it was', async t => {
  const { own, sent } = make(t)
  const data = { x: 1 }
  own.update(data)
  data.x = 2
  own.setOpen(true)
  t.strictSame(sent, [{ x: 1 }])
})

t.test('an update that the server refuses is reported, and one that was lost with the connection is not', async t => {
  const { own, errors, answers } = make(t)
  own.setOpen(true)
  own.update(1)
  answers[0](new Error('presence_hidden'))
  await loopTurns()
  t.match(errors, [{ message: 'presence_hidden' }])
  mock.timers.tick(200)
  own.update(2)
  own.setOpen(false)
  answers[1](new Error('closed'))
  await loopTurns()
  t.equal(errors.length, 1)
})

t.test('the state is stale until the first frame, and while the channel is not open', async t => {
  const { own, shown } = make(t)
  let changes = 0
  const stop = shown.subscribe(() => { changes++ })
  t.strictSame(shown.snapshot(), { members: [], count: 0, isStale: true })
  own.setOpen(true)
  t.equal(shown.isStale, true)
  own.hear({ count: 1, members: [ada] })
  await eventually(() => !shown.isStale)
  t.strictSame([shown.count, shown.members], [1, [{ userId: 'ada', connections: [{ id: 'a1' }] }]])
  const { members } = shown
  own.setOpen(false)
  t.strictSame([shown.count, shown.isStale], [1, true])
  t.equal(shown.members, members)
  t.equal(shown.snapshot(), shown.snapshot())
  t.equal(changes, 2)
  own.setOpen(false)
  t.equal(changes, 2, 'it was stale already')
  stop()
  own.setOpen(true)
  own.hear({ count: 1, members: [ada] })
  await eventually(() => !shown.isStale)
  t.equal(shown.members, members)
  t.equal(changes, 2, 'the listener was removed')
})

t.test('frames that arrive while the code for them is loaded are applied in order, and those of an earlier connection are not', async t => {
  const { own, shown, loads } = make(t, true)
  own.setOpen(true)
  own.hear({ count: 1, members: [ada] })
  own.setOpen(false)
  loads[0].resolve(roster)
  await loopTurns()
  t.strictSame([shown.isStale, shown.count], [true, 0])
  own.setOpen(true)
  own.hear({ count: 1, members: [bob] })
  own.hear({ count: 2, joined: [ada] })
  own.hear({ count: 1, left: [{ user_id: 'bob', connections: ['b1'] }] })
  t.equal(loads.length, 2, 'one for each connection')
  loads[1].resolve(roster)
  await eventually(() => !shown.isStale)
  t.strictSame([shown.count, shown.members], [1, [{ userId: 'ada', connections: [{ id: 'a1' }] }]])
})

t.test('code that cannot be loaded is reported once, and loaded again for the next connection', async t => {
  const { own, shown, errors, loads } = make(t, true)
  own.setOpen(true)
  own.hear({ count: 1, members: [bob] })
  own.setOpen(true)
  for (let n = 0; n < 10; n++) own.hear({ count: 1, members: [ada] })
  for (const { reject } of loads) reject(new TypeError('Failed to fetch'))
  await eventually(() => errors.length === 2)
  own.hear({ count: 2, joined: [bob] })
  t.strictSame([loads.length, shown.isStale, shown.count], [2, true, 0], 'a difference without the state before it')
  own.setOpen(false)
  own.setOpen(true)
  own.hear({ count: 2, members: [ada, bob] })
  loads[2].resolve(roster)
  await eventually(() => !shown.isStale)
  t.equal(shown.count, 2)
  t.match(errors, { length: 2, 0: { message: 'Failed to fetch' } })
})

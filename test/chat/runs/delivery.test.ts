import { mock } from 'node:test'
import t from 'tap'
import { Delivery } from '../../../lib/chat/runs/delivery.js'
import { errors } from '../../../lib/errors.js'
import type { Message } from '../../../lib/index.js'
import { Timers } from '../../../lib/time/timers.js'
import { FakeContext } from './context.js'
import { loopTurns } from '../../waiting.js'

const message = (type: string) => ({ type })

function setup (publish: (message: Message) => unknown) {
  const { log, logged, loggedFields } = new FakeContext()
  const state = { idle: 0 }
  return { delivery: new Delivery({ publish, timers: new Timers(), log, onIdle: () => { state.idle++ } }), logged, loggedFields, state }
}

t.test('push returns at once when the broker stores the message at once', async t => {
  const { delivery, state } = setup(() => ({}))
  t.equal(delivery.push(message('a')), undefined)
  t.strictSame([delivery.isIdle, state.idle], [true, 0])
})

t.test('each message is published when the one before it is stored', async t => {
  const stored: string[] = []
  let going = 0
  const { delivery, state } = setup(async ({ type }) => {
    t.equal(++going, 1)
    await loopTurns()
    going--
    stored.push(type)
  })
  const all = ['a', 'b', 'c'].map(type => delivery.push(message(type)))
  t.equal(delivery.isIdle, false)
  await all[0]
  t.strictSame(stored, ['a'])
  await all[2]
  t.strictSame(stored, ['a', 'b', 'c'])
  await loopTurns()
  t.strictSame([delivery.isIdle, state.idle], [true, 1])
})

t.test('a message that the broker cannot store is retried for a minute, and delays the messages after it', async t => {
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  for (const isLate of [false, true]) {
    const tries: string[] = []
    let isDown = true
    const { delivery, logged } = setup(({ type }) => {
      tries.push(type)
      if (!isDown) return
      const error = new errors.BROKER('down')
      if (!isLate) throw error
      return Promise.reject(error)
    })
    const [a, b] = [delivery.push(message('a')), delivery.push(message('b'))]
    for (let n = 0; n < 10; n++) {
      await loopTurns()
      mock.timers.tick(1_000)
    }
    await loopTurns()
    t.strictSame(tries, Array(11).fill('a'))
    isDown = false
    mock.timers.tick(1_000)
    await Promise.all([a, b])
    t.strictSame(tries.slice(11), ['a', 'b'])
    t.strictSame(logged, [])

    isDown = true
    const given = delivery.push(message('c')) as Promise<void>
    tries.length = 0
    for (let n = 0; n < 60; n++) {
      await loopTurns()
      mock.timers.tick(1_000)
    }
    await t.rejects(given, { code: 'RT_ERR_BROKER' })
    t.equal(tries.length, 59)
    t.equal(logged.length, 1)
  }
})

t.test('a message that can never be stored is given up at once, and the next one is stored', async t => {
  const { delivery, logged, loggedFields } = setup(({ type }) => { if (type === 'bad') throw new errors.INVALID_MESSAGE('bad') })
  const bad = delivery.push(message('bad')) as Promise<void>
  const good = delivery.push(message('good'))
  await t.rejects(bad, { code: 'RT_ERR_INVALID_MESSAGE' })
  await good
  t.match(logged, [/could not be stored/])
  t.match(loggedFields, [{ type: 'bad', err: { code: 'RT_ERR_INVALID_MESSAGE' } }])
})

t.test('at most 1,000 messages wait, and a further one rejects with RT_ERR_BROKER', async t => {
  const { delivery } = setup(() => new Promise(() => {}))
  for (let n = 0; n < 1_000; n++) delivery.push(message('a'))
  await t.rejects(delivery.push(message('a')) as Promise<void>, { code: 'RT_ERR_BROKER', message: /already wait/ })
})

t.test('messages that were delivered no longer count towards the limit', async t => {
  const { delivery } = setup(async () => {})
  for (let round = 0; round < 3; round++) {
    const all = Array.from({ length: 600 }, () => delivery.push(message('a')))
    await t.resolves(Promise.all(all))
    await loopTurns()
  }
})

t.test('a message that is not wanted is neither stored nor retried', async t => {
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  let tries = 0
  const { delivery, logged } = setup(() => {
    tries++
    throw new errors.BROKER('down')
  })
  t.equal(delivery.push(message('a'), () => false), undefined)
  t.equal(tries, 0)
  let isWanted = true
  const pushed = delivery.push(message('a'), () => isWanted)
  isWanted = false
  mock.timers.tick(1_000)
  await pushed
  t.strictSame([tries, logged], [1, []])
})

t.test('a message whose retry fails for another reason than the broker is given up at once', async t => {
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  let tries = 0
  const { delivery, logged } = setup(() => {
    throw tries++ === 0 ? new errors.BROKER('down') : new errors.INVALID_MESSAGE('bad')
  })
  const pushed = delivery.push(message('a')) as Promise<void>
  mock.timers.tick(1_000)
  await t.rejects(pushed, { code: 'RT_ERR_INVALID_MESSAGE' })
  t.strictSame([tries, logged.length], [2, 1])
})

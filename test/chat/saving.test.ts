import { mock } from 'node:test'
import t from 'tap'
import { Saving, type SavingParts } from '../../lib/chat/saving.js'
import type { SavedMessage } from '../../lib/index.js'
import { Timers } from '../../lib/time/timers.js'
import { gate, loopTurns } from '../waiting.js'

const target = { workflow: 'w', appId: 'a', chatId: 'c', userId: 'u' }
const message = (id: string) => ({ message_id: id, content: id })

function setup (t: { teardown (action: () => void): void }, save: SavingParts['save'], time = 60_000) {
  const state = { idle: 0 }
  const timers = new Timers()
  t.teardown(() => timers.close())
  return { state, saving: new Saving({ save, target, timers, time, onIdle: () => { state.idle++ } }) }
}

t.test('without chat.save, add resolves at once', async t => {
  const { saving, state } = setup(t, undefined)
  await saving.add(message('a'))
  t.strictSame([saving.isIdle, state.idle], [true, 0])
})

t.test('messages are saved in order, one at a time, each with a timestamp', async t => {
  const gates = [gate(), gate()]
  const begun: Array<[SavedMessage, unknown]> = []
  const { saving, state } = setup(t, (message, target) => gates[begun.push([message, target]) - 1].opened)
  const all = [saving.add(message('a')), saving.add(message('b'))]
  t.equal(saving.isIdle, false)
  t.strictSame(saving.waiting, ['a', 'b'])
  await Promise.resolve()
  t.equal(begun.length, 1)
  gates[0].open()
  await all[0]
  await loopTurns()
  t.strictSame(saving.waiting, ['b'])
  gates[1].open()
  await all[1]
  t.match(begun, [[{ message_id: 'a', content: 'a', timestamp: /Z$/ }, target], [{ message_id: 'b' }, target]])
  await loopTurns()
  t.strictSame([saving.isIdle, state.idle], [true, 1])
})

t.test('a save that fails does not affect the other messages', async t => {
  const { saving } = setup(t, ({ content }) => { if (content !== 'good') throw new Error(content) })
  const all = ['bad', 'good', 'worse'].map(id => saving.add(message(id)))
  t.match(await Promise.allSettled(all), [{ reason: { message: 'bad' } }, { status: 'fulfilled' }, { reason: { message: 'worse' } }])
})

t.test('a save that takes too long is given up, and at most 1,000 messages wait', async t => {
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  const { saving } = setup(t, () => new Promise(() => {}), 10)
  const late = saving.add(message('a'))
  await Promise.resolve()
  mock.timers.tick(10)
  await t.rejects(late, { message: /10 ms/ })
  const { saving: full } = setup(t, () => new Promise(() => {}))
  for (let n = 0; n < 1_000; n++) full.add(message('a'))
  await t.rejects(full.add(message('a')), { message: /1000 messages of this chat are already waiting for chat\.save/ })
})

import t from 'tap'
import { dependsOnWho, isForUsers, isSeen, unpublished } from '../../lib/chat/visible.js'
import { FakeContext } from './runs/context.js'

const { log, logged } = new FakeContext()
const message = { type: 'a' }

t.test('with one parameter it is asked once, with two for each who looks', async t => {
  const asked: unknown[][] = []
  const one = (message: object) => asked.push([message]) < 0
  const two = (message: object, identity: object) => asked.push([message, identity]) < 0
  t.equal(isForUsers({}, message, log), true)
  t.equal(isForUsers({ visible: one }, message, log), false)
  t.equal(isForUsers({ visible: two }, message, log), true)
  t.strictSame(asked, [[message]])
  t.strictSame([dependsOnWho(one), dependsOnWho(two)], [false, true])
  t.equal(isSeen(two, message, { userId: 'u' }, log), false)
  t.strictSame(asked[1], [message, { userId: 'u' }])
})

t.test('only true is yes', async t => {
  t.equal(isSeen(() => true, message, undefined, log), true)
  for (const answer of [false, undefined, 1, 'yes', {}]) t.equal(isSeen(() => answer as boolean, message, undefined, log), false)
  t.strictSame(logged, [])
  t.equal(isSeen(() => { throw new Error('secret') }, message, undefined, log), false)
  t.match(logged, [/visible/])
})

t.test('an async visible shows nothing, is logged, and its rejection ends nothing', async t => {
  logged.length = 0
  const answers = [async () => true, async () => { throw new Error('secret') }, () => ({ then () { throw new Error('secret') } })]
  for (const visible of answers as unknown as Array<() => boolean>) t.equal(isSeen(visible, message, undefined, log), false)
  t.match(logged, [/visible/, /visible/, /visible/])
})

t.test('the receipt of a message that is not published has no id', async t => t.match(unpublished(), { id: '', timestamp: /Z$/ }))

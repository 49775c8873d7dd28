import t from 'tap'
import { askedAbout, dependsOnWho, isForUsers, isSeen, unpublished } from '../../lib/chat/visible.js'
import { FakeContext } from './runs/context.js'

const { log, logged, loggedFields } = new FakeContext()
const message = { type: 'a' }

t.test('visible with one parameter is called once per message, and with two parameters once per reader', async t => {
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

t.test('a message is visible only when visible returns true', async t => {
  t.equal(isSeen(() => true, message, undefined, log), true)
  for (const answer of [false, undefined, 1, 'yes', {}]) t.equal(isSeen(() => answer as boolean, message, undefined, log), false)
  t.strictSame(logged, [])
  t.equal(isSeen(() => { throw new Error('secret') }, message, undefined, log), false)
  t.match(logged, [/visible/])
})

t.test('an async visible hides the message and is logged, and its rejection is handled', async t => {
  logged.length = 0
  const answers = [async () => true, async () => { throw new Error('secret') }, () => ({ then () { throw new Error('secret') } })]
  for (const visible of answers as unknown as Array<() => boolean>) t.equal(isSeen(visible, message, undefined, log), false)
  t.match(logged, [/visible/, /visible/, /visible/])
  t.match(loggedFields.at(-1), { type: 'a', err: { message: /returned a promise/ } })
})

t.test('a message is converted to JSON for a visible with one parameter, and otherwise stays the same', async t => {
  const message = { type: 'a', data: { at: new Date(0) } }
  t.equal(askedAbout({}, message, 1_000), message)
  t.equal(askedAbout({ visible: (_message, _identity) => true }, message, 1_000), message)
  t.strictSame(askedAbout({ visible: _message => true }, message, 1_000), { type: 'a', data: { at: '1970-01-01T00:00:00.000Z' } })
  t.throws(() => askedAbout({ visible: _message => true }, { type: 'a', to: 'u' } as never, 1_000), { code: 'RT_ERR_INVALID_MESSAGE' })
})

t.test('the receipt of a message that is not published has no id', async t => t.match(unpublished(), { id: '', timestamp: /Z$/ }))

import t from 'tap'
import { ChatHistory } from '../../examples/chat-history.js'
import type { SavedMessage } from '../../lib/index.js'

const target = { workflow: 'support', appId: 'shop', chatId: 'c1', userId: 'ada' }
const message = (n: number, content = `message ${n}`): SavedMessage =>
  ({ message_id: `m${n}`, role: 'user', content, status: 'complete', timestamp: new Date(n).toISOString() })
const ids = (messages: readonly SavedMessage[]) => messages.map(({ message_id: id }) => id)
const range = (from: number, to: number) => Array.from({ length: to - from }, (_, n) => `m${from + n}`)

t.test('the history is loaded in pages from the newest to the oldest, and then a page is empty', async t => {
  const history = new ChatHistory()
  for (let n = 0; n < 45; n++) history.save(message(n), target)
  t.strictSame(ids(history.load(target)), range(25, 45))
  t.strictSame(ids(history.load(target, 'm25')), range(5, 25))
  t.strictSame(ids(history.load(target, 'm5')), range(0, 5))
  t.strictSame(history.load(target, 'm0'), [])
  t.strictSame(history.load(target, 'unknown'), [])
  t.strictSame(history.load({ ...target, userId: 'eve' }), [], 'the chat of another user')
})

t.test('a message that is saved again is in the history once', async t => {
  const history = new ChatHistory()
  for (const each of [message(1), message(2), message(1, 'again')]) history.save(each, target)
  t.strictSame(history.of(target).map(({ content }) => content), ['message 2', 'again'])
})

t.test('a page is no larger than a message may be, unless a single message is', async t => {
  const history = new ChatHistory()
  for (const [n, size] of [100_000, 100_000, 100_000, 300_000].entries()) history.save(message(n, 'x'.repeat(size)), target)
  t.strictSame(ids(history.load(target)), ['m3'])
  t.strictSame(ids(history.load(target, 'm3')), ['m1', 'm2'])
})

t.test('the history keeps the newest 200 messages of the newest 100 chats', async t => {
  const history = new ChatHistory()
  for (let n = 0; n < 201; n++) history.save(message(n), target)
  t.equal(history.of(target).length, 200)
  t.equal(history.of(target)[0].message_id, 'm1')
  for (let n = 0; n < 100; n++) history.save(message(n), { ...target, chatId: `other${n}` })
  t.strictSame(history.of(target), [])
})

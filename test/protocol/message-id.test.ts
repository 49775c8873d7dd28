import fc from 'fast-check'
import t from 'tap'
import { isSentId, maxMessageId, messageIdOf, sentIdOf } from '../../lib/protocol/message-id.js'

const userId = fc.stringMatching(/^[A-Za-z0-9_.@:+~|-]{1,128}$/)
const sentId = fc.string({ minLength: 1, maxLength: 128, unit: 'binary' }).filter(isSentId)

t.test('two users never send the same message_id, nor one of the server', async t => {
  fc.assert(fc.property(userId, userId, userId, sentId, sentId, (owner, a, b, first, second) => {
    const [one, two] = [messageIdOf(first, a, owner), messageIdOf(second, b, owner)]
    return (one === two) === (a === b && first === second) && !one.startsWith('/') && one.length <= maxMessageId
  }))
  t.equal(messageIdOf('m', 'ada', 'ada'), 'm')
  t.equal(messageIdOf('m', 'bob', 'ada'), 'bob/m')
})

t.test('sentIdOf returns the id that a user sent, and only to that user', async t => {
  fc.assert(fc.property(userId, userId, userId, sentId, (owner, a, b, id) => {
    const messageId = messageIdOf(id, a, owner)
    return sentIdOf(messageId, a, owner) === id && (a === b || sentIdOf(messageId, b, owner) === undefined)
  }))
  for (const id of ['/x', 'bob/', 'eve/m', 'bob/a/b']) t.equal(sentIdOf(id, 'bob', 'ada'), undefined, id)
  for (const id of ['/x', 'bob/m']) t.equal(sentIdOf(id, 'ada', 'ada'), undefined, id)
})

t.test('a client may send 1 to 128 characters without a slash', async t => {
  for (const id of ['m', 'm1 ada', '%2F', '\\', '日本', 'x'.repeat(128)]) t.equal(isSentId(id), true, id)
  for (const id of ['', '/', 'a/b', '/a', 'a/', 'x'.repeat(129)]) t.equal(isSentId(id), false, id)
})

t.test('the longest user id and the longest id of a client form a message_id of the maximum length', async t => {
  t.equal(messageIdOf('m'.repeat(128), 'u'.repeat(128), 'ada').length, maxMessageId)
})

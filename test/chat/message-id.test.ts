import t from 'tap'
import { newMessageId, receivedMessageId } from '../../lib/chat/message-id.js'
import { isSentId } from '../../lib/protocol/message-id.js'
import { found } from '../every.js'

const target = { workflow: 'w', appId: 'a', chatId: 'c', userId: 'ada' }
const received = (messageId: string | undefined, ref: string | number | undefined, userId = 'ada') =>
  receivedMessageId({ type: 'chat_message', ref, data: { content: 'q', message_id: messageId } }, userId, target)

t.test('the id of a message is the message_id of its sender, or else the ref if that is a string', async t => {
  t.strictSame([received('m', 'r'), received(undefined, 'r'), received('m', 5), received('m', undefined)], ['m', 'r', 'm', 'm'])
  t.strictSame([received('m', 'r', 'bob'), received(undefined, 'r', 'bob')], ['bob/m', 'bob/r'])
  for (const userId of ['ada', 'bob']) for (const ref of [5, undefined]) t.match(received(undefined, ref, userId), /^\/[\da-f-]{36}$/)
})

t.test('the owner of a chat can write with any user id', async t => {
  const id = receivedMessageId({ type: 'chat_message', ref: 'r', data: { content: 'q' } }, 'a b', { ...target, userId: 'a b' })
  t.equal(id, 'r')
})

t.test('the ids of the server are unique, and no client may send them', async t => {
  const ids = Array.from({ length: 100 }, newMessageId)
  t.equal(new Set(ids).size, 100)
  t.strictSame(found(ids, isSentId), [])
})

t.test('an id that could be mistaken for another one is refused with an error that names the field', async t => {
  const bad = ['a/b', '/', 'ada/m', '/m', 'x'.repeat(129), 'm\ud800', '\udc00m']
  for (const userId of ['ada', 'bob']) {
    for (const id of bad) {
      t.throws(() => received(id, 'r', userId), { code: 'bad_message', message: /^\/data\/message_id .*UUID/ }, JSON.stringify(id))
      t.throws(() => received(undefined, id, userId), { code: 'bad_message', message: /^\/ref .*UUID; or send a message_id/ }, JSON.stringify(id))
      t.equal(received('m', id), 'm', 'a ref that is not the message_id may be anything')
    }
  }
  for (const id of ['m1 ada', '%2F', '..', '\n', '😀', 'x'.repeat(128)]) t.equal(received(id, 'r'), id, JSON.stringify(id))
})

t.test('a participant with an invalid user id cannot write, because message ids begin with the user id', async t => {
  for (const userId of ['', 'bob/eve', 'x'.repeat(129), 'bo b']) {
    for (const [messageId, ref] of [['m', 'r'], [undefined, 'r'], [undefined, 5]] as const) {
      t.throws(() => received(messageId, ref, userId), { code: 'RT_ERR_INVALID_ID' }, userId)
    }
  }
  t.throws(() => received('m', 'r', 'bob/eve'), { message: /^The user id "bob\/eve" of an author in a shared chat/ })
  t.throws(() => received('m', 'r', 'y'.repeat(1_000)), { message: /^The user id "y{139} of an author/ })
})

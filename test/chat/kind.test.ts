import t from 'tap'
import { chatKind, chatPath } from '../../lib/chat/kind.js'
import { ChatLog } from '../../lib/chat/log/chat-log.js'

t.test('a chat has a ChatLog, is read from its beginning, and counts for its user', async t => {
  t.ok(chatKind.createLog('e', { size: 1, ttl: 1, lag: 1 }, (_position, body) => body) instanceof ChatLog)
  t.equal(chatKind.start, 'beginning')
  t.equal(chatKind.ownerOf('chat:w/a/c/ada'), 'ada')
})

t.test('the path of chats has the kind that was passed to it', async t => {
  const kind = { ...chatKind, rows: new Map() }
  t.equal(chatPath(kind).kinds[0], kind)
})

import t from 'tap'
import { chatAccess, chatKind, chatPath } from '../../lib/chat/kind.js'
import type { Access, TargetDecision } from '../../lib/server/access/access.js'
import { ChatLog } from '../../lib/chat/log/chat-log.js'

t.test('a chat has a ChatLog, is read from its beginning, and counts for its user', async t => {
  t.ok(chatKind.createLog('e', { size: 1, ttl: 1, lag: 1 }, (_position, body) => body) instanceof ChatLog)
  t.strictSame([chatKind.name, chatKind.label, chatKind.start], ['chat', 'c', 'beginning'])
  t.equal(chatKind.ownerOf('chat:w/a/c/ada'), 'ada')
})

t.test('the path of chats has the kind that was passed to it', async t => {
  const kind = { ...chatKind, rows: new Map() }
  t.equal(chatPath(kind).kinds[0], kind)
})

t.test('the path of chats consists of four ids, and no workflow is called notifications', async t => {
  const { url, parse, channelsOf } = chatPath(chatKind)
  t.equal(url, '/:workflow/:app_id/:chat_id/:user_id')
  const target = { kind: 'chat' as const, workflow: 'w', appId: 'a', chatId: 'c', userId: 'u' }
  t.strictSame(parse(['w', 'a', 'c', 'u']), target)
  t.strictSame(channelsOf(target), ['chat:w/a/c/u'])
  t.equal(parse(['w', 'a', 'c']), undefined)
  t.equal(parse(['w', 'a', 'c', 'u', 'v']), undefined)
  for (const wrong of [['notifications', 'a', 'c', 'u'], ['w', '..', 'c', 'u'], ['w', 'a', '', 'u'], ['w', 'a', 'c', 'u u']]) {
    t.equal(parse(wrong), 'invalid', wrong.join())
  }
})

t.test('a subscription to a chat by frame is decided like a connection on the path of the chat', async t => {
  const decisions: Record<string, TargetDecision> = {
    ada: { denial: undefined, isHidden: false },
    bob: { denial: undefined, isHidden: true },
    eve: { denial: 'forbidden', isHidden: false } as unknown as TargetDecision
  }
  const asked: unknown[] = []
  const access = {
    decide: async (identity: unknown, target: { userId: string }) => {
      asked.push([identity, target])
      return decisions[target.userId]
    }
  } as unknown as Access
  const { isValid, decide } = chatAccess(access)
  t.strictSame(['w/a/c/u', 'w/a/c', 'w/a/c/u/v', 'notifications/a/c/u', 'w/a/c/.'].map(isValid), [true, false, false, false, false])
  const identity = { userId: 'ada' }
  t.strictSame(await decide(identity, ['chat:w/a/c/ada', 'chat:w/a/c/bob', 'chat:w/a/c/eve']), [true, 'hidden', false])
  t.strictSame(asked[0], [identity, { kind: 'chat', workflow: 'w', appId: 'a', chatId: 'c', userId: 'ada' }])
})

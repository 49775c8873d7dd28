import t, { type Test } from 'tap'
import type { Chat } from '../../../lib/client/chat/index.js'
import { OpenChats } from '../../../lib/client/chat/chats.js'
import { timersDue } from '../../waiting.js'
import { FakeSocket } from '../fake-socket.js'

const target = { workflow: 'support', appId: 'shop', chatId: 'c1' }
/** Opens chats. They end with the test. */
function make (t: Test, ...args: ConstructorParameters<typeof OpenChats>): OpenChats {
  const chats = new OpenChats(...args)
  const opened = new Set<Chat>()
  t.teardown(() => { for (const chat of opened) chat.end() })
  return Object.assign(Object.create(chats), {
    open (...target: Parameters<OpenChats['open']>) {
      const chat = chats.open(...target)
      opened.add(chat)
      return chat
    }
  })
}

const settle = () => new Promise<void>(resolve => setImmediate(resolve))

t.beforeEach(() => { FakeSocket.made = [] })

t.test('a chat that is opened twice has one connection, which the last close closes', async t => {
  const chats = make(t, { baseUrl: 'ws://a.example/ws', userId: 'ada', WebSocket: FakeSocket })
  const chat = chats.open(target)
  t.equal(chats.open({ ...target, userId: 'ada' }), chat)
  const other = chats.open({ ...target, userId: 'bob' })
  t.not(other, chat)
  await settle()
  t.strictSame(FakeSocket.made.map(({ url }) => url), ['ws://a.example/ws/support/shop/c1/ada', 'ws://a.example/ws/support/shop/c1/bob'])
  chat.close()
  t.not(chat.status, 'closed')
  chat.close()
  t.equal(chat.status, 'closed')
  t.equal(FakeSocket.made[0].isClosed, true)
  t.not(chats.open(target), chat, 'a later open creates another chat')
})

t.test('a chat that is opened again with history loads the history once', async t => {
  const chats = make(t, { baseUrl: 'ws://a.example/ws', userId: 'ada', WebSocket: FakeSocket, onError () {} })
  chats.open(target)
  await settle()
  FakeSocket.last.ack({ position: 'c.e.0' })
  await settle()
  t.strictSame(FakeSocket.last.sent, [])
  chats.open({ ...target, history: true })
  chats.open({ ...target, history: true })
  await settle()
  t.strictSame(FakeSocket.last.sent.map(({ type }) => type), ['chat_history'])
  FakeSocket.last.receive({ type: 'error', ref: FakeSocket.last.sent[0].ref, data: { code: 'handler_failed', message: '' } })
  await settle()
  chats.open({ ...target, history: true })
  await settle()
  await settle()
  t.equal(FakeSocket.last.sent.length, 1, 'once')
})

t.test('a chat uses options that are set after it was opened, and has its own address', async t => {
  const options = { baseUrl: 'ws://a.example/ws', userId: 'ada', WebSocket: FakeSocket, share: true } as const
  const late: { token?: string } = {}
  const chats = make(t, Object.defineProperty({ ...options }, 'getToken', { get: () => late.token && (() => late.token) }))
  const chat = chats.open(target)
  late.token = 'late'
  await settle()
  t.strictSame(FakeSocket.last.protocols, [])
  FakeSocket.last.lose(4401)
  await timersDue()
  await settle()
  t.strictSame(FakeSocket.last.protocols, ['fastify-realtime', 'token.late'])
  t.equal(FakeSocket.made.length, 2)
  t.not(chat.status, 'closed')
})

t.test('opening a chat without a baseUrl or a userId throws a TypeError', async t => {
  t.throws(() => new OpenChats({ url: 'ws://a.example/ws/notifications/ada', WebSocket: FakeSocket }).open(target), { name: 'TypeError', message: /baseUrl/ })
  t.throws(() => new OpenChats({ baseUrl: 'ws://a.example/ws', WebSocket: FakeSocket }).open(target), { name: 'TypeError', message: /userId/ })
})

import t, { type Test } from 'tap'
import { openChats, type OpenChat } from '../../../lib/client/chat/chats.js'
import { timersDue, loopTurns } from '../../waiting.js'
import { FakeSocket } from '../fake-socket.js'

const target = { workflow: 'support', appId: 'shop', chatId: 'c1' }
/** Returns a function that opens chats. They end with the test. */
function make (t: Test, ...args: Parameters<typeof openChats>): OpenChat {
  const open = openChats(...args)
  return (...target) => {
    const chat = open(...target)
    t.teardown(() => chat.end())
    return chat
  }
}

t.beforeEach(() => { FakeSocket.made = [] })

t.test('a chat that is opened twice has one connection, which the last close closes', async t => {
  const open = make(t, { baseUrl: 'ws://a.example/ws', userId: 'ada', WebSocket: FakeSocket })
  const chat = open(target)
  t.equal(open({ ...target, userId: 'ada' }), chat)
  const other = open({ ...target, userId: 'bob' })
  t.not(other, chat)
  await loopTurns()
  t.strictSame(FakeSocket.made.map(({ url }) => url), ['ws://a.example/ws/support/shop/c1/ada', 'ws://a.example/ws/support/shop/c1/bob'])
  chat.close()
  t.not(chat.status, 'closed')
  chat.close()
  t.equal(chat.status, 'closed')
  t.equal(FakeSocket.made[0].isClosed, true)
  t.not(open(target), chat, 'a later open creates another chat')
})

t.test('a chat that is opened again with history loads the history once', async t => {
  const open = make(t, { baseUrl: 'ws://a.example/ws', userId: 'ada', WebSocket: FakeSocket, onError () {} })
  open(target)
  await loopTurns()
  FakeSocket.last.ack({ position: 'c.e.0' })
  await loopTurns()
  open(target)
  await loopTurns()
  t.strictSame(FakeSocket.last.sent, [], 'no history without the option')
  open({ ...target, history: true })
  open({ ...target, history: true })
  await loopTurns()
  t.strictSame(FakeSocket.last.sent.map(({ type }) => type), ['chat_history'])
  FakeSocket.last.receive({ type: 'error', ref: FakeSocket.last.sent[0].ref, data: { code: 'handler_failed', message: '' } })
  await loopTurns()
  open({ ...target, history: true })
  await loopTurns()
  await loopTurns()
  t.equal(FakeSocket.last.sent.length, 1, 'once')
})

t.test('a chat uses options that are set after it was opened, and has its own address', async t => {
  const options = { baseUrl: 'ws://a.example/ws', userId: 'ada', WebSocket: FakeSocket, share: true } as const
  const late: { token?: string } = {}
  const open = make(t, Object.defineProperty({ ...options }, 'getToken', { get: () => late.token && (() => late.token) }))
  const chat = open(target)
  late.token = 'late'
  await loopTurns()
  t.strictSame(FakeSocket.last.protocols, [])
  FakeSocket.last.lose(4401)
  await timersDue()
  await loopTurns()
  t.strictSame(FakeSocket.last.protocols, ['fastify-realtime', 'token.late'])
  t.equal(FakeSocket.made.length, 2)
  t.not(chat.status, 'closed')
})

t.test('opening a chat without a baseUrl or a userId throws a TypeError', async t => {
  t.throws(() => openChats({ url: 'ws://a.example/ws/notifications/ada', WebSocket: FakeSocket })(target), { name: 'TypeError', message: /baseUrl/ })
  t.throws(() => openChats({ baseUrl: 'ws://a.example/ws', WebSocket: FakeSocket })(target), { name: 'TypeError', message: /userId/ })
})

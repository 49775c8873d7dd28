import t from 'tap'
import { ChatClient } from '../../../lib/client/chat/client.js'
import { createChat } from '../../../lib/client/chat/index.js'
import { eventually, loopTurns } from '../../waiting.js'
import { FakeSocket } from '../fake-socket.js'
import { ack, limits, target, urls } from './fake-server.js'

t.beforeEach(() => { FakeSocket.made = [] })

t.test('a chat gets a connection of its own from a server without channels, and moves to the shared one once the server has them', async t => {
  const client = new ChatClient({ baseUrl: 'ws://a.example/ws', userId: 'ada', WebSocket: FakeSocket, backoff: () => 0, onError: () => {} })
  const chat = client.chat(target)
  await loopTurns()
  FakeSocket.last.receive(ack(limits))
  await loopTurns()
  t.strictSame(urls(), ['ws://a.example/ws/notifications/ada', 'ws://a.example/ws/support/shop/c1/ada'])
  t.strictSame(FakeSocket.made[0].sent, [], 'the server does not know the message subscribe')
  FakeSocket.made[1].receive(ack(limits))
  t.equal(chat.status, 'ready')
  chat.presence.update({ typing: true })

  FakeSocket.made[0].lose(1012, 'retry_ms=0')
  await eventually(() => FakeSocket.made.length === 3)
  const again = FakeSocket.last
  again.receive(ack({ ...limits, channels: 100 }))
  t.match(again.sent, [{ type: 'subscribe', data: { channels: [{ channel: 'chat:support/shop/c1/ada' }] } }])
  again.receive({ type: 'subscribed', channel: 'chat:support/shop/c1/ada', data: { position: 'c.e.0', replayed: 0 } })
  t.equal(chat.status, 'ready')
  t.equal(FakeSocket.made[1].isClosed, true)
  t.match(again.sent.slice(1), [{ type: 'presence', channel: 'chat:support/shop/c1/ada', data: { typing: true } }])
  client.close()
})

t.test('createChat with a client opens the chat on the connection of that client', async t => {
  const client = new ChatClient({ baseUrl: 'ws://a.example/ws', userId: 'ada', WebSocket: FakeSocket })
  const chat = createChat({ ...target, userId: 'ada', client })
  await loopTurns()
  FakeSocket.last.receive(ack({ ...limits, channels: 100 }))
  FakeSocket.last.receive({ type: 'subscribed', channel: 'chat:support/shop/c1/ada', data: { position: 'c.e.0', replayed: 0 } })
  t.equal(chat.status, 'ready')
  t.strictSame(urls(), ['ws://a.example/ws/notifications/ada'])
  chat.close()
  t.equal(client.status, 'open')
  client.close()
})

import t from 'tap'
import { ChatClient } from '../../../lib/client/chat/client.js'
import { RealtimeClient } from '../../../lib/client/client.js'
import { FakeSocket } from '../fake-socket.js'
import { ack, limits, target, urls } from './fake-server.js'
import { loopTurns } from '../../waiting.js'

t.beforeEach(() => { FakeSocket.made = [] })

t.test('a client returns the same chat for the same address, on its own connection, and closes its chats when it is closed', async t => {
  const client = new ChatClient({ baseUrl: 'ws://a.example/ws', userId: 'ada', WebSocket: FakeSocket })
  t.ok(client instanceof RealtimeClient)
  const chat = client.chat(target)
  t.equal(client.chat(target), chat)
  await loopTurns()
  FakeSocket.last.receive(ack({ ...limits, channels: 100 }))
  t.match(FakeSocket.last.sent, [{ type: 'subscribe', data: { channels: [{ channel: 'chat:support/shop/c1/ada' }] } }])
  t.strictSame(urls(), ['ws://a.example/ws/notifications/ada'])
  client.close()
  t.equal(client.status, 'closed')
  t.equal(chat.status, 'closed')
})

t.test('wake() of a client or of one of its chats checks the one connection', async t => {
  for (const who of ['client', 'chat'] as const) {
    const client = new ChatClient({ baseUrl: 'ws://a.example/ws', userId: 'ada', WebSocket: FakeSocket })
    const chat = client.chat(target)
    client.chat({ ...target, chatId: 'c2' })
    await loopTurns()
    FakeSocket.last.receive(ack({ ...limits, channels: 100 }))
    const before = FakeSocket.last.sent.length
    if (who === 'client') client.wake()
    else chat.wake()
    t.strictSame(FakeSocket.last.sent.slice(before), [{ type: 'ping' }])
    client.reopen()
    client.close()
  }
})

import t from 'tap'
import { ChatClient } from '../../../lib/client/chat/client.js'
import { RealtimeClient } from '../../../lib/client/client.js'
import { FakeSocket } from '../fake-socket.js'

t.test('a client returns the same chat for the same address, and closes its chats when it is closed', async t => {
  FakeSocket.made = []
  const client = new ChatClient({ baseUrl: 'ws://a.example/ws', userId: 'ada', WebSocket: FakeSocket })
  t.ok(client instanceof RealtimeClient)
  const chat = client.chat({ workflow: 'support', appId: 'shop', chatId: 'c1' })
  t.equal(client.chat({ workflow: 'support', appId: 'shop', chatId: 'c1' }), chat)
  await new Promise(resolve => setImmediate(resolve))
  t.strictSame(FakeSocket.made.map(({ url }) => url), ['ws://a.example/ws/notifications/ada', 'ws://a.example/ws/support/shop/c1/ada'])
  client.close()
  t.equal(client.status, 'closed')
  t.equal(chat.status, 'closed')
})

import { mock } from 'node:test'
import t from 'tap'
import { ChatClient } from '../../../lib/client/chat/client.js'
import { createChat } from '../../../lib/client/chat/index.js'
import { eventually, loopTurns } from '../../waiting.js'
import { FakeSocket } from '../fake-socket.js'
import { ack, limits, target } from './fake-server.js'

const channel = 'chat:support/shop/c1/ada'
const options = { baseUrl: 'ws://a.example/ws', userId: 'ada', WebSocket: FakeSocket, backoff: () => 0, onError: () => {} }
const members = [{ user_id: 'ada', connections: [{ id: 'a1' }] }, { user_id: 'bob', connections: [{ id: 'b1', data: { typing: true } }] }]
const shown = [{ userId: 'ada', connections: [{ id: 'a1' }] }, { userId: 'bob', connections: [{ id: 'b1', data: { typing: true } }] }]

t.beforeEach(() => {
  FakeSocket.made = []
  mock.timers.enable({ apis: ['setTimeout'] })
})
t.afterEach(() => mock.timers.reset())

const receive = (type: string, data: object, more: object = {}) => FakeSocket.last.receive({ type, channel, data, ...more })
const updates = () => FakeSocket.last.sent.filter(({ type }) => type === 'presence')

t.test('a chat on its own path shows who is present, and sends its data again after a reconnect', async t => {
  const chat = createChat({ ...options, ...target })
  let changes = 0
  const stop = chat.presence.subscribe(() => { changes++ })
  chat.presence.update({ typing: true })
  await loopTurns()
  FakeSocket.last.receive(ack(limits))
  receive('presence', { count: 2, members })
  await eventually(() => !chat.presence.isStale)
  t.strictSame([chat.presence.members, chat.presence.count, chat.presence.isStale, changes], [shown, 2, false, 1])
  const { members: list } = chat.presence
  t.match(updates(), { length: 1, 0: { data: { typing: true } } })
  t.notHas(updates()[0], 'channel')

  FakeSocket.last.lose(1006)
  t.equal(chat.presence.isStale, true)
  t.equal(chat.presence.members, list)
  mock.timers.tick(200)
  await loopTurns()
  FakeSocket.last.receive({ ...ack(limits) })
  receive('presence', { count: 2, members })
  await eventually(() => !chat.presence.isStale)
  t.equal(chat.presence.members, list)
  t.match(updates().at(-1), { data: { typing: true } })
  stop()
  receive('presence', { count: 1, left: [{ user_id: 'bob', connections: ['b1'] }] })
  await eventually(() => chat.presence.count === 1)
  t.equal(changes, 3)
  t.equal(chat.items.length, 0)
  chat.close()
})

t.test('a chat that reads its history again on a fresh connection keeps its members and its data', async t => {
  const chat = createChat({ ...options, ...target })
  await loopTurns()
  FakeSocket.last.receive(ack(limits))
  receive('presence', { count: 2, members })
  await eventually(() => !chat.presence.isStale)
  chat.presence.update({ typing: true })
  const { members: list } = chat.presence
  receive('resync', { position: 'c.e.9' })
  mock.timers.tick(200)
  await loopTurns()
  t.equal(FakeSocket.made.length, 2)
  t.equal(chat.presence.members, list)
  FakeSocket.last.receive(ack(limits))
  receive('presence', { count: 2, members })
  await eventually(() => !chat.presence.isStale)
  t.equal(chat.presence.members, list)
  t.match(updates(), [{ data: { typing: true } }])
  chat.close()
})

t.test('a chat on the connection of a client shows who is present, also when it is opened again within 5 s', async t => {
  const client = new ChatClient(options)
  const chat = client.chat(target)
  await loopTurns()
  FakeSocket.last.receive(ack({ ...limits, channels: 100 }))
  receive('subscribed', { position: 'c.e.0', replayed: 0 })
  receive('presence', { count: 2, members })
  await eventually(() => !chat.presence.isStale)
  t.strictSame(chat.presence.members, shown)
  chat.presence.update({ typing: true })
  t.match(updates(), [{ channel, data: { typing: true } }])
  chat.close()
  t.equal(chat.presence.isStale, true)
  receive('presence', { count: 1, left: [{ user_id: 'bob', connections: ['b1'] }] })
  chat.reopen()
  t.equal(chat.status, 'ready')
  await eventually(() => chat.presence.count === 1)
  t.strictSame([chat.presence.members, chat.presence.isStale], [shown.slice(0, 1), false])
  chat.close()
  mock.timers.tick(5_000)
  chat.reopen()
  t.equal(chat.presence.isStale, true)
  client.close()
})

t.test('an update that the server refuses goes to onError', async t => {
  const errors: unknown[] = []
  const chat = createChat({ ...options, ...target, onError: error => errors.push(error) })
  await loopTurns()
  FakeSocket.last.receive(ack(limits))
  chat.presence.update({ typing: true })
  FakeSocket.last.receive({ type: 'error', ref: updates()[0].ref, data: { code: 'presence_hidden', message: 'hidden' } })
  await loopTurns()
  t.match(errors, [{ code: 'presence_hidden' }])
  chat.close()
})

import t from 'tap'
import { createClient } from '../../lib/client/chat/index.js'
import { RealtimeError, type Envelope, type RealtimeClient } from '../../lib/client/index.js'
import { fakeClient } from '../../lib/testing/index.js'
import { loopTurns } from '../waiting.js'

/** Example of code under test. */
function bell (client: RealtimeClient) {
  const titles: string[] = []
  client.on('notification', data => { titles.push(data!.title) })
  return { titles, markRead: async () => { await client.send('mark_read', { count: titles.length }) } }
}

t.test('a fake client can be passed in place of a client', async t => {
  const client = fakeClient()
  t.teardown(() => client.close())
  const { titles, markRead } = bell(client)
  client.emit('notification', { title: 'Hello' })
  t.strictSame(titles, ['Hello'])
  const marked = markRead()
  t.match(client.sent, [{ type: 'mark_read', data: { count: 1 }, isAnswered: false }])
  client.sent[0].ack()
  await marked
  t.equal(client.sent[0].isAnswered, true)
})

t.test('a fake client has all members of a client', async t => {
  class Silent {
    onmessage = null
    onclose = null
    onerror = null
    send () {}
    close () {}
  }
  const real = createClient({ url: 'ws://test/', WebSocket: Silent })
  // `closed` and `outage` are set when there are any.
  real.close()
  const partsOf = (object: object): string[] =>
    object === Object.prototype ? [] : [...Object.getOwnPropertyNames(object), ...partsOf(Object.getPrototypeOf(object))]
  const parts = new Set(partsOf(real).filter(name => name !== 'constructor'))
  t.ok(parts.size > 10)
  for (const name of [...parts, 'closed', 'outage']) t.ok(name in fakeClient(), name)
})

t.test('listeners get emitted messages until they are removed', async t => {
  const client = fakeClient()
  t.teardown(() => client.close())
  const heard: unknown[] = []
  const ends = [
    client.on('a', (data, envelope) => { heard.push([data, envelope.type, envelope.id]) }),
    client.on('*', envelope => { heard.push(envelope.type) })
  ]
  client.emit('a', 1, { id: 'u.x.1', timestamp: '2026-01-01T00:00:00.000Z' })
  client.emit('b')
  t.strictSame(heard, [[1, 'a', 'u.x.1'], 'a', 'b'])
  for (const end of ends) end()
  client.emit('a', 2)
  t.equal(heard.length, 3)
})

t.test('send rejects with the error of the test, and a second answer throws', async t => {
  const client = fakeClient()
  t.teardown(() => client.close())
  const first = client.send('a')
  client.sent[0].fail('handler_failed', 'no')
  const error = await first.catch(error => error)
  t.type(error, RealtimeError)
  t.match(error, { code: 'handler_failed', message: 'no' })
  t.throws(() => client.sent[0].ack(), { message: "'a' was already answered" })

  const second = client.send('b')
  client.close()
  await t.rejects(second, { code: 'closed', message: /./ })
  await t.rejects(client.send('c'), { code: 'closed', message: /./ })
  t.equal(client.sent.length, 2)
})

t.test('setStatus sets the status, calls the listeners and settles connected()', async t => {
  const client = fakeClient('connecting')
  t.teardown(() => client.close())
  const seen: string[] = []
  const end = client.onStatus(status => { seen.push(status) })
  let isConnected = false
  const connected = client.connected().then(() => { isConnected = true })
  client.setStatus('waiting')
  client.setStatus('waiting')
  await Promise.resolve()
  t.equal(isConnected, false)
  client.setStatus('connecting')
  client.setStatus('open')
  await connected
  t.equal(client.status, 'open')
  end()
  client.setStatus('closed', 4403)
  t.strictSame(client.closed, { code: 4403, reason: '', name: 'FORBIDDEN' })
  await t.rejects(client.connected(), { code: 'forbidden', message: /^closed with 4403/ })
  t.throws(() => client.setStatus('open'), { message: /stays closed/ })
  t.strictSame(seen, ['waiting', 'connecting', 'open'])
  client.reopen()
  t.strictSame([client.status, client.closed], ['open', undefined])
  client.reopen()
  client.wake()
  t.equal(client.status, 'open')
})

t.test('listeners get resumes until they are removed', async t => {
  const client = fakeClient()
  t.teardown(() => client.close())
  const seen: boolean[] = []
  const end = client.onResume(({ recovered }) => { seen.push(recovered) })
  client.resume(true)
  client.resume(false)
  end()
  client.resume(true)
  t.strictSame(seen, [true, false])
})

t.test('for await yields emitted messages, and ends when the client is closed', async t => {
  const client = fakeClient()
  t.teardown(() => client.close())
  const types: string[] = []
  const loop = (async () => {
    for await (const { type } of client as AsyncIterable<Envelope>) types.push(type)
  })()
  client.emit('a')
  await loopTurns()
  client.emit('b')
  client.emit('c')
  client.close()
  await loop
  t.strictSame(types, ['a', 'b', 'c'])
})

t.test('the chats of a fake client are real chats with fake connections', async t => {
  const client = fakeClient('open', { userId: 'ada' })
  t.teardown(() => client.close())
  const target = { workflow: 'support', appId: 'shop', chatId: 'c1' }
  t.throws(() => client.connectionOf(target), { message: /the chat 'c1' of this client was not opened/ })
  const chat = client.chat(target)
  t.equal(client.chat(target), chat)
  t.equal(chat.status, 'connecting')
  await Promise.resolve()
  t.equal(chat.status, 'ready')
  const server = client.connectionOf({ ...target, userId: 'ada' })
  server.emit('run_started', { run_id: 'r' })
  server.emit('chat_delta', { message_id: 'a', run_id: 'r', at: 0, text: 'Hello' })
  t.match(chat.messages, [{ text: 'Hello', status: 'streaming' }])
  server.emit('run_finished', { run_id: 'r', status: 'complete' })
  const sent = chat.send('Hi', { id: 'm1' })
  t.match(server.sent, [{ type: 'chat_message', data: { message_id: 'm1', content: 'Hi' } }])
  server.sent[0].ack()
  await sent
  t.match(chat.messages[1], { id: 'm1', userId: 'ada', status: 'complete' })
  server.resume(false)
  await Promise.resolve()
  t.not(client.connectionOf(target), server, 'after a loss the chat has a fresh connection')
  t.equal(chat.connection, 'open')
  client.close()
  t.equal(chat.status, 'closed')
  client.reopen()
  t.equal(chat.connection, 'open')
  t.equal(fakeClient('closed').chat(target).status, 'connecting')
})

t.test('a test sets who is present in a channel, and sees the own data', async t => {
  const client = fakeClient()
  t.teardown(() => client.close())
  const { presence } = client.channel('board', 'b1')
  const counts: number[] = []
  presence.subscribe(() => counts.push(presence.count))
  const fake = client.channelOf('board', 'b1')
  const ada = { userId: 'ada', connections: [{ id: 'a1', data: { typing: true } }] }
  fake.setPresence([ada])
  t.match(presence.snapshot(), { members: [ada], count: 1, isStale: false })
  fake.setPresence([ada], { isStale: true })
  t.equal(presence.isStale, true)
  fake.setPresence([], { count: 900 })
  t.match(presence.snapshot(), { members: [], count: 900, isStale: false })
  t.strictSame(counts, [1, 1, 900])
  presence.update({ typing: true })
  t.match(fake.sent, [{ type: 'presence', data: { typing: true } }])
  fake.sent[0].ack()
})

t.test('a test sets who is present in a chat', async t => {
  const client = fakeClient()
  t.teardown(() => client.close())
  const target = { workflow: 'w', appId: 'a', chatId: 'c1' }
  const { presence } = client.chat(target)
  client.connectionOf(target).setPresence([{ userId: 'bob', connections: [{ id: 'b1' }] }])
  t.equal(presence.count, 1)
  client.connectionOf(target).setStatus('waiting')
  t.equal(presence.isStale, true)
})

import { mock } from 'node:test'
import t from 'tap'
import { createChat, RealtimeError, type Chat, type ChatOptions } from '../../../lib/client/chat/index.js'
import { timersDue, loopTurns } from '../../waiting.js'
import { FakeSocket } from '../fake-socket.js'

interface Scope {
  teardown (action: () => unknown): void
}

/** Lets promises and immediates settle, and the code for the history be loaded. */
const settle = async () => {
  await import('../../../lib/client/chat/history.js')
  await loopTurns(3)
}

/** A server that the test controls. It counts its publications. */
class Server {
  #offset = 0

  get socket (): FakeSocket {
    return FakeSocket.last
  }

  open (data: object = {}): void {
    this.socket.ack({ position: `c.e.${this.#offset}`, ...data })
  }

  publish (type: string, data: object): void {
    this.socket.receive({ type, data, timestamp: new Date(1_800_000_000_000 + this.#offset).toISOString(), id: `c.e.${++this.#offset}` })
  }

  /** Returns the last frame of a type. */
  sent (type: string): { type: string, ref: string, data: any } {
    const frame = this.socket.sent.findLast(frame => frame.type === type)
    if (frame === undefined) throw new Error(`no '${type}' in ${JSON.stringify(this.socket.sent)}`)
    return frame as { type: string, ref: string, data: any }
  }

  answer (type: string): void {
    this.socket.receive({ type: 'ack', ref: this.sent(type).ref })
  }

  refuse (type: string, code: string): void {
    this.socket.receive({ type: 'error', ref: this.sent(type).ref, data: { code, message: code } })
  }

  page (messages: object[], isComplete = true): void {
    const { ref } = this.sent('chat_history')
    this.socket.receive({ type: 'chat_history', ref, data: { messages, is_complete: isComplete } })
    this.answer('chat_history')
  }
}

async function start (t: Scope, options: Partial<ChatOptions> = {}): Promise<{ chat: Chat, server: Server, errors: unknown[] }> {
  FakeSocket.made = []
  const errors: unknown[] = []
  const chat = createChat({
    workflow: 'support', appId: 'shop', chatId: 'c1', userId: 'ada', baseUrl: 'ws://a.example/ws', WebSocket: FakeSocket, backoff: () => 0, onError: error => errors.push(error), ...options
  })
  t.teardown(() => chat.end())
  await settle()
  return { chat, server: new Server(), errors }
}

const stored = (id: string) => ({ message_id: id, role: 'user', content: id, status: 'complete', timestamp: '2026-01-01T00:00:00.000Z' })
const texts = (chat: Chat) => chat.messages.map(({ text, status }) => `${text}: ${status}`)

t.test('a chat connects to its address with the credential of its user, and close closes it', async t => {
  const { server, chat } = await start(t, { getToken: () => 'secret' })
  t.equal(server.socket.url, 'ws://a.example/ws/support/shop/c1/ada')
  t.strictSame(server.socket.protocols, ['fastify-realtime', 'token.secret'])
  t.throws(() => createChat({ workflow: 'w', appId: 'a', chatId: 'c', WebSocket: FakeSocket } as unknown as ChatOptions), TypeError)
  chat.close()
  t.match(chat.closed, { code: 1000 })
  t.equal(server.socket.isClosed, true)
})

t.test('the status of a chat follows the sent message, its run, its question and the close', async t => {
  const { chat, server } = await start(t)
  t.equal(chat.status, 'connecting')
  server.open()
  t.equal(chat.status, 'ready')
  const sent = chat.send('Hi', { id: 'm1' })
  t.equal(chat.status, 'submitted')
  server.answer('chat_message')
  await sent
  t.equal(chat.status, 'submitted', 'its run is unknown yet')
  server.publish('run_queued', { run_id: 'r', message_id: 'm1', user_id: 'ada' })
  t.equal(chat.status, 'submitted', 'its run is queued')
  server.publish('run_queued', { run_id: 'other', message_id: 'bob/m1', user_id: 'bob' })
  server.publish('run_started', { run_id: 'r', message_id: 'm1' })
  t.equal(chat.status, 'streaming')
  server.publish('input_request', { request_id: 'q', run_id: 'r', prompt: '?' })
  t.equal(chat.status, 'waiting')
  server.publish('input_closed', { request_id: 'q', run_id: 'r', reason: 'answered', value: 1 })
  t.equal(chat.status, 'streaming')
  server.socket.lose()
  t.equal(chat.connection, 'waiting')
  t.equal(chat.status, 'streaming', 'a lost connection does not change the status')
  await timersDue()
  await settle()
  server.open({ recovered: true })
  server.publish('run_finished', { run_id: 'r', status: 'error', error: { code: 'E', message: 'why' } })
  t.equal(chat.status, 'submitted', "another user's message waits")
  server.publish('run_finished', { run_id: 'other', status: 'cancelled' })
  t.equal(chat.status, 'ready')
  t.match(chat.error, { code: 'E', message: 'why' })
  server.socket.lose(4403)
  t.equal(chat.status, 'closed')
  await t.rejects(chat.send('x'), { code: 'forbidden' })
  await new Promise<void>(resolve => chat.subscribe(resolve))
  const closed = { code: 4403, reason: '', name: 'FORBIDDEN' }
  t.strictSame([chat.closed, chat.snapshot().closed], [closed, closed])
})

t.test('reopen() connects a closed chat again, and its items stay', async t => {
  const { chat, server } = await start(t)
  server.open()
  server.publish('chat_message', { content: 'a', message_id: 'm1', role: 'user', status: 'complete' })
  server.socket.lose(4403)
  chat.reopen()
  await settle()
  t.equal(new URL(server.socket.url).searchParams.get('since'), 'c.e.1')
  server.open({ recovered: true })
  server.publish('chat_message', { content: 'b', message_id: 'm2', role: 'user', status: 'complete' })
  t.strictSame([chat.status, chat.closed, texts(chat)], ['ready', undefined, ['a: complete', 'b: complete']])
  chat.close()
  t.equal(chat.status, 'closed')
  chat.reopen()
  await settle()
  t.equal(chat.status, 'ready')
})

t.test('an error of a subscriber is reported, and the others are called', async t => {
  const { chat, server, errors } = await start(t)
  chat.subscribe(() => { throw new Error('of the app') })
  const told = new Promise<void>(resolve => chat.subscribe(resolve))
  server.open()
  await told
  t.match(errors[0], { message: 'of the app' })
})

t.test('a sent message is shown at once, is sent again after a lost connection, and can be sent again after a refusal', async t => {
  const { chat, server } = await start(t)
  const first = chat.send('Hi', { data: { files: ['a'] } })
  t.match(chat.messages, [{ text: 'Hi', role: 'user', status: 'pending', userId: 'ada', data: { files: ['a'] } }])
  server.open()
  const { ref, data } = server.sent('chat_message')
  t.match(data, { content: 'Hi', files: ['a'], message_id: chat.messages[0].id })

  server.socket.lose()
  await timersDue()
  await settle()
  server.open({ recovered: true })
  t.match(server.sent('chat_message'), { ref, data }, 'the same message again')
  server.publish('chat_message', { message_id: data.message_id, role: 'user', content: 'Hi', user_id: 'ada' })
  server.answer('chat_message')
  await first
  server.publish('run_finished', { run_id: 'r', message_id: data.message_id, status: 'complete' })
  t.strictSame(texts(chat), ['Hi: complete'])

  const second = chat.send('Again', { id: 'm2' })
  server.refuse('chat_message', 'chat_busy')
  await t.rejects(second, { name: 'RealtimeError', code: 'chat_busy' })
  t.match(chat.messages[1], { status: 'error', error: { code: 'chat_busy' } })
  t.equal(chat.status, 'ready')
  const third = chat.send('Again', { id: 'm2' })
  t.strictSame(texts(chat), ['Hi: complete', 'Again: pending'])
  server.answer('chat_message')
  await third
  t.strictSame(texts(chat), ['Hi: complete', 'Again: complete'])
})

t.test('a send whose answer is lost resolves when the log has the message', async t => {
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  const { chat, server } = await start(t)
  server.open()
  const published = chat.send('1', { id: 'm1', timeout: 50 })
  server.publish('chat_message', { message_id: 'm1', role: 'user', content: '1' })
  mock.timers.tick(50)
  await published
  const lost = t.rejects(chat.send('2', { timeout: 50 }), { code: 'timeout' })
  mock.timers.tick(50)
  await lost
  t.strictSame(texts(chat), ['1: complete', '2: error'])

  const failed = chat.send('3', { id: 'm3' })
  server.publish('chat_message', { message_id: 'm3', role: 'user', content: '3' })
  server.refuse('chat_message', 'handler_failed')
  await t.rejects(failed, { code: 'handler_failed' }, 'an error of the server counts')
})

t.test('stop cancels the active run, and sent messages whose run has not started', async t => {
  const { chat, server } = await start(t)
  server.open()
  await chat.stop()
  t.equal(server.socket.sent.length, 0)
  server.publish('run_started', { run_id: 'r1' })
  for (const id of ['m1', 'm2']) chat.send('x', { id }).catch(() => {})
  const stopped = chat.stop()
  const cancels = server.socket.sent.filter(({ type }) => type === 'chat_cancel')
  t.strictSame(cancels.map(({ data }) => data), [{ ref: 'm2' }, { ref: 'm1' }, { run_id: 'r1' }])
  for (const { ref } of cancels) server.socket.receive({ type: 'ack', ref })
  await stopped
})

t.test('stop cancels waiting runs by their ids, of any user, the last one first', async t => {
  const { chat, server } = await start(t)
  server.open()
  server.publish('run_started', { run_id: 'r1' })
  chat.send('x', { id: 'm1' }).catch(() => {})
  server.publish('run_queued', { run_id: 'r2', message_id: 'bob/m1', user_id: 'bob' })
  server.publish('run_queued', { run_id: 'r3', message_id: 'm1', user_id: 'ada' })
  chat.send('x', { id: 'm2' }).catch(() => {})
  chat.stop().catch(() => {})
  const cancels = server.socket.sent.filter(({ type }) => type === 'chat_cancel')
  t.strictSame(cancels.map(({ data }) => data), [{ ref: 'm2' }, { run_id: 'r3' }, { run_id: 'r2' }, { run_id: 'r1' }])
})

t.test('withdraw cancels a queued message by the id of its run, or by its own id when its run is unknown', async t => {
  const { chat, server } = await start(t)
  server.open()
  server.publish('run_started', { run_id: 'r1', message_id: 'm0' })
  server.publish('chat_message', { message_id: 'bob/m1', role: 'user', content: 'x', user_id: 'bob' })
  server.publish('run_queued', { run_id: 'r2', message_id: 'bob/m1', user_id: 'bob' })
  t.strictSame(texts(chat), ['x: queued'])
  const withdrawn = chat.withdraw('bob/m1')
  t.strictSame(server.sent('chat_cancel').data, { run_id: 'r2' })
  server.answer('chat_cancel')
  await withdrawn
  server.publish('run_finished', { run_id: 'r2', message_id: 'bob/m1', status: 'cancelled' })
  t.strictSame(texts(chat), ['x: cancelled'])
  t.equal(chat.status, 'streaming')
  chat.send('y', { id: 'm2' }).catch(() => {})
  chat.withdraw('m2').catch(() => {})
  t.strictSame(server.sent('chat_cancel').data, { ref: 'm2' })
})

t.test('stop of a participant names its message by the id that it sent', async t => {
  const { chat, server } = await start(t)
  server.open({ user_id: 'bob' })
  chat.send('x', { id: 'm1' }).catch(() => {})
  t.match(chat.messages, [{ id: 'bob/m1', userId: 'bob' }])
  chat.stop().catch(() => {})
  t.match(server.sent('chat_message').data, { message_id: 'm1' })
  t.match(server.sent('chat_cancel').data, { ref: 'm1' })
})

t.test('a participant that sends before the connection is open keeps the messages, each with its status', async t => {
  const { chat, server } = await start(t)
  await t.rejects(chat.send('late', { id: 'm1', timeout: 1 }), { code: 'timeout' })
  const sent = chat.send('early', { id: 'm2' })
  server.open({ user_id: 'bob' })
  t.match(chat.messages, [{ id: 'bob/m1', userId: 'bob', status: 'error' }, { id: 'bob/m2', userId: 'bob', status: 'pending' }])
  server.answer('chat_message')
  await sent
  t.strictSame(texts(chat), ['late: error', 'early: complete'])
})

t.test('a question is open until it is answered, here or on another device', async t => {
  const { chat, server } = await start(t)
  server.open()
  t.equal(chat.question, undefined)
  const ask = (id: string) => server.publish('input_request', { request_id: id, run_id: 'r', prompt: id })
  ask('q1')
  ask('q2')
  const question = chat.question!
  t.match(question, { id: 'q1', prompt: 'q1' })
  server.publish('chat_delta', { message_id: 'a', at: 0, text: 'x' })
  t.equal(chat.question, question, 'an unchanged question is the same object')

  const wrong = question.answer(5)
  t.strictSame(server.sent('input_response').data, { request_id: 'q1', value: 5 })
  server.refuse('input_response', 'bad_value')
  await t.rejects(wrong, { code: 'bad_value' })
  t.equal(chat.question, question)

  const right = question.answer('yes')
  server.publish('input_closed', { request_id: 'q1', run_id: 'r', reason: 'answered', value: 'yes', user_id: 'ada' })
  server.answer('input_response')
  await right
  t.equal(chat.question?.id, 'q2')
  const late = chat.question!.answer('x')
  server.refuse('input_response', 'input_closed')
  await t.rejects(late, RealtimeError)
  t.equal(chat.question, undefined)

  ask('q3')
  server.publish('input_closed', { request_id: 'q3', run_id: 'r', reason: 'answered', value: 1, user_id: 'ada' })
  t.equal(chat.question, undefined, 'answered on another device')
})

t.test('loadOlder loads older messages page by page, one page at a time, until there are none', async t => {
  const { chat, server } = await start(t)
  server.open()
  server.publish('chat_message', { content: 'of the app' })
  server.publish('chat_message', { message_id: 'c', role: 'user', content: 'c' })
  const first = chat.loadOlder()
  t.equal(chat.loadOlder(), first, 'one load at a time')
  t.strictSame(server.sent('chat_history').data, { before: 'c' })
  server.page([stored('a'), stored('b'), stored('c')], false)
  t.equal(await first, false)
  t.strictSame(chat.messages.map(({ text }) => text), ['a', 'b', 'of the app', 'c'])
  const second = chat.loadOlder()
  t.strictSame(server.sent('chat_history').data, { before: 'a' })
  server.page([])
  t.equal(await second, true)
  t.equal(chat.isComplete, true)
  const { length } = server.socket.sent
  t.equal(await chat.loadOlder(), true)
  t.equal(server.socket.sent.length, length, 'no request is sent')
})

t.test('a page that is lost with its connection is requested again', async t => {
  const { chat, server } = await start(t)
  server.open()
  const load = chat.loadOlder()
  server.answer('chat_history')
  await settle()
  server.page([stored('a')])
  t.equal(await load, true)
  t.strictSame(texts(chat), ['a: complete'])
})

t.test('a page that never arrives is requested at most five times', async t => {
  const { chat, server } = await start(t)
  server.open()
  const load = chat.loadOlder()
  for (let n = 0; n < 5; n++) {
    t.equal(server.socket.sent.length, n + 1)
    server.answer('chat_history')
    await settle()
  }
  t.equal(await load, false)
  t.equal(server.socket.sent.length, 5)
})

t.test('with history: true a chat loads the newest messages by itself', async t => {
  t.test('the newest messages are loaded once connected', async t => {
    const { chat, server } = await start(t, { history: true })
    server.open()
    await settle()
    t.strictSame(server.sent('chat_history').data, {})
    server.publish('chat_message', { message_id: 'b', role: 'user', content: 'b' })
    server.page([stored('a'), stored('b')])
    await settle()
    t.strictSame(chat.messages.map(({ id }) => id), ['a', 'b'])
    t.equal(chat.isComplete, true)
  })

  t.test('a server without history is not reported, and other failures are', async t => {
    const { chat, server, errors } = await start(t, { history: true })
    server.open()
    await settle()
    server.refuse('chat_history', 'unknown_type')
    await settle()
    t.strictSame(errors, [])
    t.equal(chat.isComplete, true)

    const other = await start(t, { history: true })
    other.server.open()
    await settle()
    other.server.refuse('chat_history', 'handler_failed')
    await settle()
    t.match(other.errors, [{ code: 'handler_failed' }])
    const load = other.chat.loadOlder()
    other.server.refuse('chat_history', 'handler_failed')
    await t.rejects(load, { code: 'handler_failed' })
  })

  t.test('a load that fails because the chat is closed is not reported', async t => {
    const { chat, server, errors } = await start(t, { history: true })
    server.open()
    await settle()
    chat.close()
    await settle()
    t.strictSame(errors, [])
  })

  t.test('after a loss the newest messages are loaded again, once the page in transit has arrived', async t => {
    const { chat, server } = await start(t, { history: true })
    server.open()
    await settle()
    server.page([stored('b')], false)
    await settle()
    chat.loadOlder()
    t.strictSame(server.sent('chat_history').data, { before: 'b' })
    // Two losses in a row: after the second one the chat keeps its connection.
    server.socket.receive({ type: 'resync', data: { position: 'c.e.9' } })
    await settle()
    server.open()
    server.socket.receive({ type: 'resync', data: { position: 'c.e.10' } })
    await settle()
    t.strictSame(server.sent('chat_history').data, { before: 'b' })
    server.page([stored('a')], false)
    await settle()
    t.strictSame(server.sent('chat_history').data, {})
    server.page([stored('x')], false)
    await settle()
    t.strictSame(chat.messages.map(({ id }) => id), ['x'])
  })
})

t.test('after a loss a chat reads the whole history again, and sends unanswered messages again', async t => {
  const { chat, server } = await start(t, { history: true })
  server.open()
  await settle()
  server.page([], true)
  await settle()
  server.publish('run_started', { run_id: 'r' })
  server.publish('chat_delta', { message_id: 'a', run_id: 'r', at: 0, text: 'abc' })
  server.publish('chat_delta', { message_id: 'gone', run_id: 'r', at: 0, text: 'x' })
  const sent = chat.send('Hi', { id: 'm1' })
  const old = server.socket
  old.lose()
  await timersDue()
  await settle()
  t.match(server.socket.url, /since=c\.e\.3/)
  server.open({ recovered: false, position: 'c.f.0' })
  await settle()
  t.equal(FakeSocket.made.length, 3)
  t.notMatch(server.socket.url, /since/)
  t.strictSame(texts(chat), ['abc: streaming', 'x: streaming', 'Hi: pending'], 'the items stay until the new connection is open')
  t.equal(FakeSocket.made[1].isClosed, true)

  server.open()
  t.strictSame(texts(chat), ['abc: interrupted', 'x: interrupted', 'Hi: pending'])
  server.publish('chat_delta', { message_id: 'a', run_id: 'r', at: 0, text: 'abcdef' })
  t.equal(chat.status, 'streaming')
  await settle()
  server.page([{ ...stored('gone'), role: 'assistant', content: 'xyz' }], true)
  t.equal(server.sent('chat_message').data.message_id, 'm1')
  server.answer('chat_message')
  await sent
  await settle()
  t.strictSame(texts(chat), ['abcdef: streaming', 'xyz: complete', 'Hi: complete'])

  server.socket.receive({ type: 'resync', data: { position: 'c.e.99' } })
  t.equal(FakeSocket.made.length, 3, 'no fresh connection so soon')
  t.strictSame(texts(chat), ['abcdef: interrupted', 'xyz: complete', 'Hi: complete'])
})

t.test('subscribers are called once per turn of the event loop', async t => {
  const { chat, server } = await start(t)
  await settle()
  let told = 0
  const end = chat.subscribe(() => { told++ })
  server.open()
  const before = chat.snapshot()
  for (let n = 0; n < 100; n++) server.publish('chat_delta', { message_id: 'a', at: n, text: 'x' })
  t.equal(told, 0)
  t.equal(chat.messages[0].text.length, 100, 'a getter returns the current state')
  t.equal(chat.snapshot(), before, 'snapshot returns the state of the latest call of subscribers')
  await timersDue()
  t.equal(told, 1)
  t.equal(chat.snapshot().messages[0].text.length, 100)
  t.equal(chat.snapshot(), chat.snapshot())
  end()
  server.publish('chat_delta', { message_id: 'a', at: 100, text: 'x' })
  await timersDue()
  t.equal(told, 1)
})

t.test('messages of types of the app do not change a chat', async t => {
  const { chat, server } = await start(t)
  server.open()
  const { items } = chat
  server.publish('of_the_app', {})
  t.equal(chat.items, items)
})

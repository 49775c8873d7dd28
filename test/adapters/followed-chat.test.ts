import { mock } from 'node:test'
import type { UIMessageChunk } from 'ai'
import t from 'tap'
import { FollowedChat } from '../../lib/adapters/followed-chat.js'
import { onPath } from '../../lib/adapters/link.js'
import type { ClientOptions } from '../../lib/client/client.js'
import { FakeSocket } from '../client/fake-socket.js'
import { found } from '../every.js'
import { loopTurns } from '../waiting.js'

interface Scope {
  teardown (action: () => unknown): void
}

/** Connects to a fake server, with a clock that the test moves. */
async function connect (t: Scope, { idle = 10_000, client = {} }: { idle?: number, client?: ClientOptions } = {}) {
  FakeSocket.made = []
  mock.timers.enable({ apis: ['setTimeout'] })
  let closes = 0
  const errors: unknown[] = []
  const chat = new FollowedChat({
    open: onPath({ url: 'ws://a.example/ws/w/a/c/u', WebSocket: FakeSocket, backoff: () => 0, onError: error => errors.push(error), ...client }),
    ownerId: client.userId,
    onError: error => errors.push(error),
    idle,
    onClose: () => { closes++ }
  })
  t.teardown(() => {
    chat.close()
    mock.timers.reset()
  })
  await loopTurns()
  let offset = 0
  const server = {
    open: (epoch = 'e', more: object = {}) => FakeSocket.last.ack({ position: `c.${epoch}.${offset}`, ...more }),
    publish: (type: string, data: object, epoch = 'e') => FakeSocket.last.receive({ type, data, timestamp: '', id: `c.${epoch}.${++offset}` }),
    answer: (type: 'ack' | 'error', data?: object) => FakeSocket.last.receive({ type, ref: FakeSocket.last.sent.at(-1)!.ref, data }),
    sent: () => FakeSocket.last.sent.map(({ type, data }) => ({ type, data })),
    /** Loses the socket, and waits for the next one. */
    async lose () {
      const { length } = FakeSocket.made
      FakeSocket.last.lose()
      mock.timers.tick(1)
      await loopTurns()
      if (FakeSocket.made.length !== length + 1) throw new Error('it did not reconnect')
    },
    reset: () => { offset = 0 }
  }
  return { chat, server, errors, closes: () => closes }
}

function read (stream: ReadableStream<UIMessageChunk>) {
  const chunks: UIMessageChunk[] = []
  const ended = (async () => { for await (const chunk of stream as unknown as AsyncIterable<UIMessageChunk>) chunks.push(chunk) })()
  return { chunks, ended }
}

const hello = { data: { message_id: 'm', content: 'hello' } }

t.test('the stream of an acknowledged message that the server has lost ends with an error', async t => {
  const { chat, server } = await connect(t)
  const { chunks, ended } = read(chat.send(hello))
  server.open()
  server.answer('ack')
  await loopTurns()
  await server.lose()
  server.reset()
  server.open('f', { recovered: false })
  await loopTurns()
  server.open('f')
  await ended
  t.strictSame(chunks, [{ type: 'error', errorText: 'interrupted' }])
  t.strictSame(server.sent(), [])
})

t.test('a message that was not acknowledged is sent again', async t => {
  const { chat, server } = await connect(t)
  const { chunks, ended } = read(chat.send(hello))
  server.open()
  await server.lose()
  server.reset()
  server.open('f', { recovered: false })
  await loopTurns()
  server.open('f')
  t.strictSame(server.sent(), [{ type: 'chat_message', data: hello.data }])
  server.answer('ack')
  await loopTurns()
  server.publish('run_started', { run_id: 'r', message_id: 'm' }, 'f')
  server.publish('run_finished', { run_id: 'r', message_id: 'm', status: 'complete' }, 'f')
  await ended
  t.match(chunks, [{ type: 'start' }, { type: 'finish' }])
})

t.test('a message that waits for its run keeps waiting when the log of the chat was not lost', async t => {
  const { chat, server } = await connect(t)
  const { chunks, ended } = read(chat.send(hello))
  server.open()
  server.answer('ack')
  await loopTurns()
  await server.lose()
  server.open('e', { recovered: false })
  await loopTurns()
  server.open('e')
  t.strictSame(server.sent(), [])
  server.publish('run_finished', { run_id: 'r', message_id: 'm', status: 'cancelled' })
  await ended
  t.match(chunks, [{ type: 'start', messageId: 'r' }, { type: 'abort' }], 'a run that was cancelled before it started')
})

t.test('a run that starts before the ack of its message is streamed, and a late refusal has no effect', async t => {
  const { chat, server } = await connect(t)
  const { chunks, ended } = read(chat.send(hello))
  server.open()
  server.publish('run_started', { run_id: 'r', message_id: 'm' })
  server.answer('error', { code: 'handler_timeout', message: '' })
  await loopTurns()
  server.publish('run_finished', { run_id: 'r', status: 'complete' })
  await ended
  t.equal(chunks.at(-1)!.type, 'finish')
})

t.test('messages without a run, or of an unknown run, are omitted', async t => {
  const { chat, server } = await connect(t)
  server.open('e', { replayed: 1 })
  const resumed = chat.resume()
  server.publish('chat_delta', { message_id: 'a', run_id: 'unknown', at: 0, text: 'x' })
  t.equal(await resumed, undefined)
  const { chunks, ended } = read(chat.send(hello))
  server.publish('run_started', { run_id: 'r', message_id: 'm' })
  server.publish('chat_message', { content: 'x' })
  FakeSocket.last.receive({ type: 'hello', timestamp: '' })
  server.publish('run_finished', { run_id: 'r', status: 'complete' })
  await ended
  t.equal(chunks.length, 2)
})

t.test('resume waits for the end of the replay', async t => {
  const { chat, server } = await connect(t)
  const resumed = chat.resume()
  let isSettled = false
  resumed.finally(() => { isSettled = true })
  server.open('e', { replayed: 3 })
  server.publish('run_started', { run_id: 'r1' })
  server.publish('run_finished', { run_id: 'r1', status: 'complete' })
  await loopTurns()
  t.equal(isSettled, false)
  server.publish('run_started', { run_id: 'r2' })
  const { chunks } = read((await resumed)!)
  await loopTurns()
  t.strictSame(chunks, [{ type: 'start', messageId: 'r2' }])
})

t.test('the stream of a queued run begins when its turn has come', async t => {
  const { chat, server } = await connect(t)
  const { chunks, ended } = read(chat.send(hello))
  server.open()
  server.answer('ack')
  server.publish('run_queued', { run_id: 'r', message_id: 'm' })
  await loopTurns()
  t.strictSame(chunks, [], 'the stream has not begun')
  server.publish('run_started', { run_id: 'r', message_id: 'm' })
  await loopTurns()
  t.strictSame(chunks, [{ type: 'start', messageId: 'r' }])
  server.publish('run_finished', { run_id: 'r', status: 'complete' })
  await ended
  t.match(chunks.at(-1), { type: 'finish' })
})

t.test('resume streams the newest run, even when it waits for its turn', async t => {
  const { chat, server } = await connect(t)
  server.open()
  FakeSocket.last.receive({ type: 'pong' })
  server.publish('run_started', { run_id: 'going' })
  for (const id of ['q1', 'q2']) server.publish('run_queued', { run_id: id })
  const resumed = read((await chat.resume())!)
  server.publish('run_finished', { run_id: 'going', status: 'complete' })
  await loopTurns()
  t.strictSame(resumed.chunks, [])
  server.publish('run_finished', { run_id: 'q2', status: 'cancelled' })
  await resumed.ended
  t.match(resumed.chunks, [{ type: 'start', messageId: 'q2' }, { type: 'abort' }], 'the run was cancelled while it waited')
  const next = read((await chat.resume())!)
  server.publish('run_started', { run_id: 'q1' })
  server.publish('run_finished', { run_id: 'q1', status: 'complete' })
  await next.ended
  t.match(next.chunks, [{ type: 'start', messageId: 'q1' }, { type: 'finish' }])
  t.equal(await chat.resume(), undefined)
})

t.test('a queued run that a fresh connection does not replay is over', async t => {
  const { chat, server } = await connect(t)
  const { chunks, ended } = read(chat.send(hello))
  server.open()
  server.answer('ack')
  server.publish('run_queued', { run_id: 'r', message_id: 'm' })
  await server.lose()
  server.open('e', { recovered: false })
  await loopTurns()
  server.open('e')
  FakeSocket.last.receive({ type: 'pong' })
  await ended
  t.match(chunks, [{ type: 'start' }, { type: 'error', errorText: 'interrupted' }])
})

t.test('a participant streams the run of their own message, not that of the owner with the same id', async t => {
  const { chat, server } = await connect(t, { client: { url: undefined, baseUrl: 'ws://a.example/ws', userId: 'ada', chat: { workflow: 'w', appId: 'a', chatId: 'c' } } })
  const { chunks, ended } = read(chat.send(hello))
  server.open('e', { user_id: 'bob' })
  server.answer('ack')
  for (const [id, messageId] of [['r1', 'm'], ['r2', 'eve/m'], ['r3', 'bob/m']]) {
    server.publish('run_started', { run_id: id, message_id: messageId })
    server.publish('run_finished', { run_id: id, status: 'complete' })
  }
  await ended
  t.match(chunks, [{ type: 'start', messageId: 'r3' }, { type: 'finish' }])
})

t.test('resume resolves with undefined when it is aborted, and rejects when the connection is refused', async t => {
  const { chat } = await connect(t)
  const stop = new AbortController()
  const aborted = chat.resume(stop.signal)
  stop.abort()
  t.equal(await aborted, undefined)
  const refused = chat.resume()
  FakeSocket.last.lose(4403)
  await t.rejects(refused, { code: 'forbidden', message: /4403/ })
  await t.rejects(chat.resume(), { code: 'forbidden' })
})

t.test('a cancel that fails is reported to onError', async t => {
  const { chat, server, errors } = await connect(t)
  const stop = new AbortController()
  const { chunks, ended } = read(chat.send({ ...hello, signal: stop.signal }))
  server.open()
  stop.abort()
  await ended
  t.strictSame(chunks, [{ type: 'abort' }])
  t.strictSame(server.sent().at(-1), { type: 'chat_cancel', data: { ref: 'm' } })
  server.answer('error', { code: 'handler_failed', message: '' })
  await loopTurns()
  t.match(errors, [{ code: 'handler_failed' }])
  stop.abort()
})

t.test('a connection is closed when it was not used for the idle time', async t => {
  const { chat, server, closes } = await connect(t, { idle: 1_000 })
  server.open()
  const { chunks } = read(chat.send(hello))
  server.answer('ack')
  mock.timers.tick(5_000)
  t.equal(closes(), 0, 'a message waits')
  server.publish('run_started', { run_id: 'r', message_id: 'm' })
  server.publish('run_finished', { run_id: 'r', status: 'complete' })
  await loopTurns()
  t.equal(chunks.length, 2)
  mock.timers.tick(900)
  const response = chat.respond('q', true)
  mock.timers.tick(900)
  t.equal(closes(), 0, 'an answer waits')
  server.answer('error', { code: 'bad_value', message: '' })
  await t.rejects(response, { code: 'bad_value' })
  mock.timers.tick(900)
  t.equal(closes(), 0)
  mock.timers.tick(200)
  t.equal(closes(), 1)
  t.equal(FakeSocket.last.isClosed, true)
  chat.close()
  t.equal(closes(), 1)
})

t.test('resume waits for the replay of a fresh connection, also if an earlier connection was replayed', async t => {
  const { chat, server } = await connect(t)
  server.open()
  FakeSocket.last.receive({ type: 'pong' })
  server.publish('run_started', { run_id: 'r' })
  const before = read((await chat.resume())!)
  await server.lose()
  server.open('e', { recovered: false })
  await loopTurns()
  const resumed = chat.resume()
  await loopTurns()
  server.open('e')
  FakeSocket.last.receive({ type: 'pong' })
  t.equal(await resumed, undefined, 'the run that was active before is over')
  await before.ended
})

t.test('a message that is too big for a frame ends its stream with the cure', async t => {
  const wholeOf = (role: string, type: string) => ({ role, parts: [{ type: 'text' }, { type }] })
  for (const [whole, code, expected] of [
    [wholeOf('user', 'file'), 'too_big', 'too_big: of the server. Upload the files, and send their URLs'],
    [wholeOf('assistant', 'file'), 'too_big', 'too_big: of the server. Send only what the page has added to the answer, with prepareSendMessagesRequest'],
    [wholeOf('user', 'text'), 'too_big', 'too_big: of the server'],
    [{ role: 'user' }, 'too_big', 'too_big: of the server'],
    [undefined, 'too_big', 'too_big: of the server'],
    [wholeOf('user', 'file'), 'chat_busy', 'chat_busy: of the server']
  ] as const) {
    const { chat, server } = await connect(t)
    const { chunks, ended } = read(chat.send({ data: { ...hello.data, ui_message: whole } }))
    server.open()
    server.answer('error', { code, message: 'of the server' })
    await ended
    t.strictSame(chunks, [{ type: 'error', errorText: expected }])
    mock.timers.reset()
  }
})

t.test('a run that is replayed on a fresh connection continues its stream', async t => {
  const { chat, server } = await connect(t)
  const { chunks, ended } = read(chat.send(hello))
  server.open()
  server.answer('ack')
  server.publish('run_started', { run_id: 'r', message_id: 'm' })
  await server.lose()
  server.open('e', { recovered: false })
  await loopTurns()
  server.open('e', { replayed: 1 })
  server.publish('run_started', { run_id: 'r', message_id: 'm' })
  await loopTurns()
  server.publish('chat_delta', { run_id: 'r', message_id: 'a', at: 0, text: 'still here' })
  server.publish('run_finished', { run_id: 'r', message_id: 'm', status: 'complete' })
  await ended
  t.strictSame(found(chunks, chunk => chunk.type === 'error'), [])
  t.match(chunks.filter(chunk => chunk.type === 'text-delta'), [{ delta: 'still here' }])
})

t.test('approve streams the end of a run whose server died while it waited, and answers nothing', async t => {
  const { chat, server } = await connect(t)
  server.open('e', { replayed: 4 })
  const run = { run_id: 'r', message_id: 'm' }
  const about = { run_id: 'r', message_id: '/a' }
  server.publish('run_started', run)
  server.publish('tool_call', { ...about, call_id: 'c', name: 'pay', args: { sum: 5 }, ai_sdk: {} })
  server.publish('input_request', { run_id: 'r', request_id: 'q', prompt: 'Run pay?', ai_sdk: { approvalId: 'a' } })
  server.publish('chat_part', { ...about, part_id: '1', kind: 'data', name: 'ai_sdk', value: { type: 'pause' } })
  server.publish('tool_output', { ...about, call_id: 'c', name: 'pay', status: 'interrupted' })
  server.publish('input_closed', { run_id: 'r', request_id: 'q', reason: 'interrupted' })
  server.publish('run_finished', { ...run, status: 'interrupted' })
  const { chunks, ended } = read((await chat.approve(new Map([['a', { approved: true }]])))!)
  await ended
  t.match(chunks, [{ type: 'start', messageId: 'r' }, { type: 'tool-output-error', toolCallId: 'c', errorText: 'interrupted' }, { type: 'error', errorText: 'interrupted' }])
  t.strictSame(found(server.sent(), ({ type }) => type === 'input_response'), [])
  t.equal(await chat.approve(new Map([['other', { approved: true }]])), undefined)
})

t.test('only the latest ten runs with approvals are known after their ends', async t => {
  const { chat, server } = await connect(t)
  server.open()
  for (let n = 0; n < 11; n++) {
    server.publish('run_started', { run_id: `r${n}` })
    server.publish('input_request', { run_id: `r${n}`, request_id: `q${n}`, prompt: '', ai_sdk: { approvalId: `a${n}` } })
    server.publish('run_finished', { run_id: `r${n}`, status: 'complete' })
  }
  const isKnown = async (n: number) => await chat.approve(new Map([[`a${n}`, { approved: true }]])) !== undefined
  t.strictSame([await isKnown(0), await isKnown(1), await isKnown(10)], [false, true, true])
  for (let n = 0; n < 11; n++) {
    server.publish('run_started', { run_id: `other${n}` })
    server.publish('run_finished', { run_id: `other${n}`, status: 'complete' })
  }
  t.equal(await isKnown(1), true, 'runs without approvals do not count')
})

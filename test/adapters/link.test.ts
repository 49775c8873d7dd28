import { mock } from 'node:test'
import { Chat } from '@ai-sdk/react'
import type { UIMessage } from 'ai'
import t from 'tap'
import { WebSocket } from 'ws'
import { RealtimeChatTransport, type RealtimeChatTransportOptions } from '../../lib/adapters/ai-sdk.js'
import { FollowedChat } from '../../lib/adapters/followed-chat.js'
import { onClient } from '../../lib/adapters/link.js'
import { createClient as createChatClient } from '../../lib/client/chat/index.js'
import { createClient, type ClientOptions, type WebSocketConstructor } from '../../lib/client/index.js'
import { FakeSocket } from '../client/fake-socket.js'
import { eventually, gate, loopTurns, within } from '../waiting.js'
import { startAgent } from './agent.js'

interface Scope {
  teardown (action: () => unknown): void
}

class Socket extends WebSocket {
  constructor (url: string, protocols?: string[]) {
    super(url, protocols, { closeTimeout: 100 } as object)
  }
}

const optionsOf = (url: string): ClientOptions => ({
  baseUrl: `${url}/ws`, userId: 'ada', WebSocket: Socket as WebSocketConstructor, backoff: () => 0, onError: () => {}
})

/** A client, and a transport on its connection. */
function pageOf (t: Scope, url: string, options: Partial<RealtimeChatTransportOptions> = {}) {
  const client = createClient(optionsOf(url))
  const transport = new RealtimeChatTransport({ workflow: 'w', appId: 'a', client, ...options } as RealtimeChatTransportOptions)
  t.teardown(() => client.close())
  const chat = (id: string, messages: UIMessage[] = []) => new Chat<UIMessage>({ id, transport, messages, onError: () => {} })
  return { client, transport, chat }
}

const textOf = ({ messages }: Chat<UIMessage>) => messages.at(-1)?.parts.map(part => part.type === 'text' ? part.text : '').join('')

t.test('the chats of a transport with a client are on the one socket of the client, beside its other channels and chats', async t => {
  const { url, app } = await startAgent(t, (run, { content }) => { run.reply().write(`You said ${content}`) })
  let handshakes = 0
  app.server.on('upgrade', () => { handshakes++ })
  const client = createChatClient(optionsOf(url))
  t.teardown(() => client.close())
  const transport = new RealtimeChatTransport({ workflow: 'w', appId: 'a', client })
  const own = client.chat({ workflow: 'w', appId: 'a', chatId: 'c0' })
  const chats = Array.from({ length: 5 }, (_, n) => new Chat<UIMessage>({ id: `c${n}`, transport }))
  await within(Promise.all(chats.map(chat => chat.sendMessage({ text: chat.id }))), 'the end of all answers')
  t.strictSame(chats.map(textOf), chats.map(({ id }) => `You said ${id}`))
  await eventually(() => own.messages.length === 2)
  t.equal(own.messages[1].text, 'You said c0', 'a chat of the client with the same id has the same answer')
  t.equal(handshakes, 1)
  t.equal(app.ws.stats().connections, 1)
  transport.close()
  t.equal(client.status, 'open', 'the transport does not close the client')
  own.close()
})

t.test('a closed transport ends the subscriptions of its chats on the connection of the client, which stays open', async t => {
  const { url } = await startAgent(t, run => { run.reply().write('answer') })
  const sent: string[] = []
  class Recorded extends Socket {
    override send (frame: string) {
      sent.push(JSON.parse(frame).type)
      super.send(frame)
    }
  }
  const client = createClient({ ...optionsOf(url), WebSocket: Recorded as unknown as WebSocketConstructor })
  t.teardown(() => client.close())
  const transport = new RealtimeChatTransport({ workflow: 'w', appId: 'a', client })
  const chat = new Chat<UIMessage>({ id: 'c', transport })
  await within(chat.sendMessage({ text: 'hi' }), 'the end of the answer')
  t.equal(sent.includes('unsubscribe'), false)
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  transport.close()
  mock.timers.tick(5_000)
  await eventually(() => sent.includes('unsubscribe'))
  t.equal(client.status, 'open')
})

t.test('a chat of a client has the whole answer, when a transport begins to read the same chat after a cut in which the answer ended', async t => {
  let isDown = false
  class Gated extends Socket {
    constructor (url: string, protocols?: string[]) {
      if (isDown) throw new Error('no network')
      super(url, protocols)
    }
  }
  const [hold, ended] = [gate(), gate()]
  const { url, cut, runs } = await startAgent(t, async run => {
    const reply = run.reply()
    reply.write('one ')
    await hold.opened
    reply.write('two')
    await reply.end()
    ended.open()
  })
  const client = createChatClient({ ...optionsOf(url), WebSocket: Gated as WebSocketConstructor, backoff: () => 5 })
  t.teardown(() => client.close())
  const place = { workflow: 'w', appId: 'a' }
  const own = client.chat({ ...place, chatId: 'c' })
  await own.send('go')
  await eventually(() => own.messages.at(-1)?.text === 'one ')
  // Entries of the log after the beginning of the answer, up to which the chat has read.
  const other = runs[0].reply()
  other.write('another reply')
  await other.end()
  await eventually(() => own.messages.at(-1)?.text === 'another reply')
  isDown = true
  cut()
  hold.open()
  await within(Promise.all([ended.opened, runs[0].finished]), 'the end of the run')
  const transport = new RealtimeChatTransport({ ...place, client })
  t.teardown(() => transport.close())
  const resumed = transport.reconnectToStream({ chatId: 'c' })
  isDown = false
  t.equal(await within(resumed, 'the transport'), null, 'nothing runs')
  await eventually(() => own.status === 'ready')
  t.match(own.messages.slice(1), [{ text: 'one two', status: 'complete' }, { text: 'another reply' }])
  own.close()
})

t.test('an answer on the connection of a client survives cuts, and a page that is loaded meanwhile resumes it', async t => {
  const hold = gate()
  const { url, cut } = await startAgent(t, async run => {
    const reply = run.reply()
    for (const word of ['one ', 'two ']) reply.write(word)
    await hold.opened
    reply.write('three')
    await reply.end()
  })
  const chat = pageOf(t, url).chat('c')
  const sent = chat.sendMessage({ text: 'go' })
  await eventually(() => textOf(chat) === 'one two ')
  const late = pageOf(t, url).chat('c', chat.messages.slice(0, 1))
  const resumed = late.resumeStream()
  await eventually(() => textOf(late) === 'one two ')
  cut()
  hold.open()
  await within(Promise.all([sent, resumed]), 'the end of the answer on both pages')
  t.strictSame([textOf(chat), textOf(late)], ['one two three', 'one two three'])
  await late.resumeStream()
  t.equal(late.status, 'ready')
  t.equal(late.messages.length, 2, 'nothing runs')
})

t.test('resume on a client returns null at once where nothing was ever published, also when the channel is open', async t => {
  const { url } = await startAgent(t, () => {})
  const { client, transport } = pageOf(t, url)
  const reader = client.read('chat:w/a/c/ada')
  await eventually(() => reader.status === 'open')
  t.equal(await within(transport.reconnectToStream({ chatId: 'c' }), 'the end of the replay'), null)
})

t.test('stop ends the run of a chat on the connection of a client', async t => {
  const { url, runs } = await startAgent(t, async run => {
    run.reply().write('Wait.')
    await new Promise(resolve => run.signal.addEventListener('abort', resolve))
  })
  const chat = pageOf(t, url).chat('c')
  const sent = chat.sendMessage({ text: 'go' })
  await eventually(() => textOf(chat) === 'Wait.')
  await chat.stop()
  await sent
  t.equal(await within(runs[0].finished, 'the end of the run'), 'cancelled')
})

t.test('a chat ends when its client is closed or the server refuses it, and the next one may be accepted', async t => {
  const { url } = await startAgent(t, run => new Promise(resolve => run.signal.addEventListener('abort', resolve)), {
    authenticate: () => ({ userId: 'ada' }),
    authorize: (_, target) => !JSON.stringify(target).includes('secret')
  })
  const { client, chat } = pageOf(t, url)
  const refused = chat('secret')
  await refused.sendMessage({ text: 'go' })
  t.match(refused.error, { message: /^forbidden: / })
  const open = chat('c')
  const sent = open.sendMessage({ text: 'go' })
  await eventually(() => client.status === 'open')
  client.close()
  await sent
  t.match(open.error, { message: /^closed: / })
  await open.sendMessage({ text: 'again' })
  t.match(open.error, { message: /^closed: / }, 'a closed client refuses at once')
  client.reopen()
  const third = open.sendMessage({ text: 'once more' })
  await eventually(() => open.status === 'submitted')
  await open.stop()
  await third
  t.equal(open.error, undefined)
})

t.test('options that have no effect with a client are refused, and so is a client that cannot have chats', t => {
  const options = { baseUrl: 'ws://a.example/ws', userId: 'ada', WebSocket: FakeSocket }
  const client = createClient(options)
  t.teardown(() => client.close())
  const create = (more: object) => () => new RealtimeChatTransport({ workflow: 'w', appId: 'a', client, ...more } as RealtimeChatTransportOptions)
  for (const [name, value] of Object.entries({ baseUrl: '/ws', getToken: String, WebSocket: FakeSocket, share: true, onError: () => {} })) {
    t.throws(create({ [name]: value }), { name: 'TypeError', message: `'${name}' has no effect with 'client': pass it to createClient, or leave 'client' out` })
  }
  t.doesNotThrow(create({ idle: 5, userId: 'bob', getToken: undefined }))
  const byUrl = createClient({ url: 'ws://a.example/ws/notifications/ada', WebSocket: FakeSocket })
  t.teardown(() => byUrl.close())
  t.throws(create({ client: byUrl }), { name: 'TypeError', message: /pass 'baseUrl' and 'userId' to createClient/ })
  t.end()
})

t.test('with a server without channels, a chat of a client gets a connection of its own, and moves back to the client with a newer server', async t => {
  FakeSocket.made = []
  const client = createClient({ baseUrl: 'ws://a.example/ws', userId: 'ada', WebSocket: FakeSocket, backoff: () => 0, onError: () => {} })
  t.teardown(() => client.close())
  await eventually(() => FakeSocket.made.length === 1)
  const chat = new FollowedChat({
    open: onClient(client, 'ada', { workflow: 'w', appId: 'a', chatId: 'c' }), ownerId: 'ada', idle: 1_000, onClose: () => {}, onError: () => {}
  })
  t.teardown(() => chat.close())
  const resumed = chat.resume()
  const [first] = FakeSocket.made
  first.ack({ limits: undefined })
  await eventually(() => FakeSocket.made.length === 2)
  const [, path] = FakeSocket.made
  t.equal(path.url, 'ws://a.example/ws/w/a/c/ada')
  path.ack({ position: 'c.e.0' })
  t.equal(await within(resumed, 'the end of the replay'), undefined)
  first.lose()
  await eventually(() => FakeSocket.made.length === 3)
  FakeSocket.last.ack({ limits: { frame: 1024, nodes: 100, rate: 100, burst: 100, channels: 100 } })
  await eventually(() => path.isClosed)
  await eventually(() => FakeSocket.last.sent.some(({ type }) => type === 'subscribe'))
})

/** Opens a link to a chat on a client with a fake socket, and records what the link reports. */
async function linked (t: Scope) {
  FakeSocket.made = []
  const client = createClient({ baseUrl: 'ws://a.example/ws', userId: 'ada', WebSocket: FakeSocket, backoff: () => 0, onError: () => {} })
  t.teardown(() => client.close())
  await eventually(() => FakeSocket.made.length === 1)
  const [socket] = FakeSocket.made
  socket.ack({ limits: { frame: 1024, nodes: 100, rate: 100, burst: 100, channels: 100 } })
  const reported: string[] = []
  const link = onClient(client, 'ada', { workflow: 'w', appId: 'a', chatId: 'c' })({
    onConnected: () => { reported.push('connected') },
    onReplayed: () => { reported.push('replayed') },
    onEnvelope: ({ type }) => { reported.push(type) },
    onLost: () => { reported.push('lost') },
    onClosed: () => { reported.push('closed') }
  })
  t.teardown(() => link.close())
  const receive = (type: string, rest: object) => socket.receive({ type, channel: 'chat:w/a/c/ada', data: {}, ...rest })
  await eventually(() => socket.sent.some(({ type }) => type === 'subscribe'))
  const pings = () => socket.sent.filter(({ type }) => type === 'ping')
  return { socket, link, reported, receive, pings, pong: () => socket.receive({ type: 'pong', ref: pings().at(-1)!.ref }) }
}

t.test('only publications count as frames of a replay: a page of the history on the same channel does not', async t => {
  const { socket, link, reported, receive } = await linked(t)
  receive('subscribed', { data: { position: 'c.e.0', replayed: 2 } })
  link.send('chat_history', {}).catch(() => {})
  const requests = () => socket.sent.filter(({ type }) => type === 'chat_history')
  await eventually(() => requests().length > 0)
  receive('chat_history', { ref: requests()[0].ref })
  receive('one', { id: 'c.e.1' })
  receive('two', { id: 'c.e.2' })
  receive('three', { id: 'c.e.3' })
  t.strictSame(reported, ['connected', 'chat_history', 'one', 'two', 'replayed', 'three'])
})

t.test('a replay of which the server has merged frames ends when a ping is answered without a frame in between', async t => {
  const { reported, receive, pings, pong } = await linked(t)
  receive('subscribed', { data: { position: 'c.e.0', replayed: 3 } })
  receive('one', { id: 'c.e.1' })
  await loopTurns()
  t.equal(pings().length, 1)
  t.strictSame(reported, ['connected', 'one'])
  pong()
  await eventually(() => pings().length === 2)
  t.strictSame(reported, ['connected', 'one'])
  pong()
  await eventually(() => reported.length > 2)
  t.strictSame(reported, ['connected', 'one', 'replayed'])
})

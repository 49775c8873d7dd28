import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import Fastify from 'fastify'
import t from 'tap'
import { WebSocket, WebSocketServer } from 'ws'
import { createClient, type ChatClient } from '../../lib/client/chat/index.js'
import type { WebSocketConstructor } from '../../lib/client/index.js'
import realtime, { defineChannel, type RealtimeOptions } from '../../lib/index.js'
import { every } from '../every.js'
import { Client, start } from '../harness.js'
import { eventually } from '../waiting.js'

interface Scope {
  teardown (action: () => unknown): void
}

const target = { workflow: 'support', appId: 'shop', chatId: 'c1' }
const timestamp = '2026-01-31T09:30:00.000Z'

const options: RealtimeOptions = {
  channels: { board: defineChannel({ authorize: () => true }) },
  chat: {
    onMessage: (run, { content }) => {
      const reply = run.reply()
      reply.write('new: ')
      reply.write(content)
      return reply.end()
    }
  }
}

/** A server of the version before channels: its ack has no `limits.channels`, its frames have no `channel`, and it has no `subscribe`. */
async function older (t: Scope): Promise<{ port: number, got: Array<{ path: string, type: string }>, close: () => Promise<void> }> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  await once(server, 'listening')
  const got: Array<{ path: string, type: string }> = []
  const close = async (): Promise<void> => {
    const isClosed = new Promise(resolve => server.close(resolve))
    for (const socket of server.clients) socket.close(1012, 'retry_ms=0')
    await isClosed
  }
  t.teardown(() => new Promise(resolve => server.close(resolve)))
  server.on('connection', (socket, { url }) => {
    const path = url!.replace(/\?.*/, '')
    const isBell = path.startsWith('/ws/notifications/')
    const send = (type: string, more: object) => socket.send(JSON.stringify({ type, timestamp, ...more }))
    let offset = 0
    const publish = (type: string, data: object) => send(type, { id: `${isBell ? 'u' : 'c'}.old.${++offset}`, data })
    send('connection_ack', {
      data: {
        user_id: 'ada',
        connection_id: path,
        position: isBell ? 'u.old.0,b.old.0' : 'c.old.0',
        replayed: 0,
        heartbeat_ms: 25_000,
        limits: { frame: 65_536, rate: 20, burst: 40, nodes: 1_000 }
      }
    })
    if (isBell) publish('notification', { title: 'from the older server' })
    socket.on('message', frame => {
      const { type, ref, data } = JSON.parse(String(frame))
      got.push({ path, type })
      if (type === 'ping') return send('pong', {})
      if (type !== 'chat_message' || isBell) return send('error', { ref, data: { code: 'unknown_type', message: 'unknown type' } })
      const run = { run_id: 'r1', message_id: data.message_id }
      publish('chat_message', { message_id: data.message_id, role: 'user', content: data.content, user_id: 'ada' })
      send('ack', { ref })
      publish('run_started', run)
      publish('chat_delta', { message_id: 'r1/1', run_id: 'r1', at: 0, text: 'old: ' })
      publish('chat_delta', { message_id: 'r1/1', run_id: 'r1', at: 5, text: data.content })
      publish('chat_message', { message_id: 'r1/1', run_id: 'r1', role: 'assistant', content: `old: ${data.content}`, status: 'complete' })
      publish('run_finished', { ...run, status: 'complete' })
    })
  })
  return { port: (server.address() as AddressInfo).port, got, close }
}

const textsOf = (chat: ReturnType<ChatClient['chat']>) => chat.messages.map(({ text }) => text)

t.test('a new client works on an older server, bell and chat, and moves to one connection when the server is replaced', async t => {
  const { port, got, close } = await older(t)
  const opened: string[] = []
  class Socket extends WebSocket {
    constructor (url: string, protocols?: string[]) {
      super(url, protocols)
      opened.push(new URL(url).pathname)
    }
  }
  const errors: Array<{ code?: string }> = []
  const client = createClient({
    baseUrl: `ws://127.0.0.1:${port}/ws`,
    userId: 'ada',
    WebSocket: Socket as WebSocketConstructor,
    backoff: () => 20,
    onError: error => errors.push(error as { code?: string })
  })
  t.teardown(() => client.close())
  const titles: unknown[] = []
  client.on('notification', data => titles.push(data?.title))
  const chat = client.chat(target)
  const board = client.channel('board', 'b1')
  await eventually(() => chat.status === 'ready')
  await chat.send('one')
  await eventually(() => chat.status === 'ready' && chat.messages.length === 2)
  t.strictSame(textsOf(chat), ['one', 'old: one'])
  t.strictSame(titles, ['from the older server'])
  t.strictSame(opened, ['/ws/notifications/ada', '/ws/support/shop/c1/ada'])
  t.strictSame(got, [{ path: '/ws/support/shop/c1/ada', type: 'chat_message' }], 'no subscribe')
  t.not(board.status, 'open')
  t.ok(errors.some(({ code }) => code === 'unavailable'), 'the channel says why it waits')

  await close()
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(realtime, options)
  await app.listen({ port, host: '127.0.0.1' })
  await eventually(() => board.status === 'open' && chat.connection === 'open' && app.ws.connections('ada').length === 1)
  await chat.send('two')
  await eventually(() => textsOf(chat).includes('new: two'))
  t.strictSame(textsOf(chat), ['one', 'old: one', 'two', 'new: two'])
  await app.ws.sendToUser('ada', { type: 'notification', data: { title: 'from the new server' } })
  await eventually(() => titles.length === 2)
  t.equal(app.ws.connections('ada').length, 1, 'bell, chat and channel share a connection')
})

t.test('an older client works on a new server: the bell resumes with since', async t => {
  const { app, url } = await start(t, options)
  const before = new Client(`${url}/ws/notifications/ada`)
  t.teardown(() => before.socket.terminate())
  const { data: ack } = await before.next('connection_ack')
  t.match(ack, { user_id: 'ada', position: /^u\.\w+\.0,b\.\w+\.0$/, heartbeat_ms: Number, limits: { frame: Number, rate: Number, burst: Number } })
  await app.ws.sendToUser('ada', { type: 'notification', data: { title: 'one' } })
  const { id } = await before.next('notification')
  before.send('{"type":"ping"}')
  await before.next('pong')
  before.socket.terminate()
  await before.close()
  await app.ws.sendToUser('ada', { type: 'notification', data: { title: 'two' } })
  await app.ws.broadcast({ type: 'notification', data: { title: 'all' } })

  const since = `${id},${ack.position.split(',')[1]}`
  const after = new Client(`${url}/ws/notifications/ada?since=${encodeURIComponent(since)}`)
  t.teardown(() => after.socket.terminate())
  t.match(await after.next('connection_ack'), { data: { recovered: true, replayed: 2 } })
  const replayed = [await after.next(), await after.next()]
  t.strictSame(replayed.map(({ data }) => (data as { title: string }).title).sort(), ['all', 'two'])
  t.ok(every(replayed, envelope => !('channel' in envelope)))
})

t.test('an older client works on a new server: a chat on its path, with frames that name no channel', async t => {
  const { app, url } = await start(t, options)
  const path = `${url}/ws/support/shop/c1/ada`
  const before = new Client(`${path}?since=0`)
  t.teardown(() => before.socket.terminate())
  await before.next('connection_ack')
  const message = { type: 'chat_message', ref: 'session.1', data: { message_id: 'm1', content: 'one' } }
  before.send(message)
  await before.next('ack')
  const { id } = await before.next('run_finished')
  t.match(before.received.filter(({ type }) => type === 'chat_message').at(-1), { data: { role: 'assistant', content: 'new: one' } })
  before.socket.terminate()
  await before.close()

  const after = new Client(`${path}?since=${id}`)
  t.teardown(() => after.socket.terminate())
  t.match(await after.next('connection_ack'), { data: { recovered: true, replayed: 0 } })
  after.send(message)
  t.match(await after.next('ack'), { ref: 'session.1' }, 'the message is answered again, and not handled again')
  after.send({ type: 'chat_history', ref: 'session.2', data: {} })
  t.match(await after.next(), { type: 'error', ref: 'session.2', data: { code: 'unknown_type' } }, 'no run has started')
  after.send({ type: 'chat_cancel', ref: 'session.3', data: { run_id: 'unknown' } })
  t.match(await after.next('ack'), { ref: 'session.3' })
  t.equal(app.ws.connections('ada').length, 1)
})

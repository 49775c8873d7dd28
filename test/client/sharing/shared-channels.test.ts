import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import { createClient, type ChatClient } from '../../../lib/client/chat/index.js'
import type { ClientOptions, WebSocketConstructor } from '../../../lib/client/index.js'
import { defineChannel, type RealtimeOptions, type Run } from '../../../lib/index.js'
import { start } from '../../harness.js'
import { eventually, gate } from '../../waiting.js'
import { FakeLocks } from '../fake-locks.js'

const locks = new FakeLocks()
Object.defineProperty(globalThis, 'navigator', { configurable: true, value: { locks } })
t.teardown(() => { Reflect.deleteProperty(globalThis, 'navigator') })

const board = defineChannel({
  authorize: () => true,
  onMessage: { move: ({ data }: { data?: unknown }) => data },
  history: { size: 10_000 }
})
const target = (chatId: string) => ({ workflow: 'support', appId: 'shop', chatId })

function openTab (t: Test, url: string, options: ClientOptions = {}): ChatClient {
  const client = createClient({ baseUrl: `${url}/ws`, userId: 'u1', WebSocket: WebSocket as WebSocketConstructor, share: true, backoff: () => 20, onError: () => {}, ...options })
  t.teardown(() => client.close())
  return client
}

async function open (t: Test, options: RealtimeOptions = {}) {
  const opened: string[] = []
  const onConnect: RealtimeOptions['onConnect'] = ({ id }) => { opened.push(id) }
  const { app, url } = await start(t, { channels: { board }, history: { size: 10_000 }, ...options, onConnect })
  return { app, url, opened }
}

/** Numbers that a tab got on a channel. */
function numbersOf (tab: ChatClient, id = 'b1') {
  const got: number[] = []
  const channel = tab.channel('board', id)
  channel.on('n', data => got.push(Number(data)))
  return { got, channel }
}

t.test('four tabs, each with a bell, two chats and a board, have one socket, and without share four', async t => {
  for (const share of [true, false]) {
    const { app, url, opened } = await open(t)
    const tabs = Array.from({ length: 4 }, () => openTab(t, url, { share }))
    const boards = tabs.map(tab => numbersOf(tab))
    const chats = tabs.flatMap(tab => ['c1', 'c2'].map(id => tab.chat(target(id))))
    await eventually(() => boards.every(({ channel }) => channel.status === 'open') && chats.every(({ status }) => status === 'ready'))
    for (let n = 0; n < 50; n++) await app.ws.channel('board', 'b1').send({ type: 'n', data: n })
    await eventually(() => boards.every(({ got }) => got.length >= 50))
    for (const { got } of boards) t.strictSame(got, Array.from({ length: 50 }, (_, n) => n))
    t.equal(opened.length, share ? 1 : 4)
  }
})

t.test('closing the leader in the middle of an answer loses and repeats nothing on the other tabs', async t => {
  const go = gate()
  const onMessage = async (run: Run) => {
    const reply = run.reply()
    for (let n = 0; n < 60; n++) {
      await reply.write(`${n} `)
      if (n === 20) await go.opened
      if (n % 5 === 0) await new Promise(resolve => setImmediate(resolve))
    }
  }
  const { app, url } = await open(t, { chat: { onMessage } })
  const tabs = Array.from({ length: 4 }, () => openTab(t, url))
  const boards = tabs.map(tab => numbersOf(tab))
  const chats = tabs.map(tab => tab.chat(target('c1')))
  await eventually(() => boards.every(({ channel }) => channel.status === 'open') && chats.every(({ status }) => status === 'ready'))
  await chats[1].send('go')
  const textOf = (at: number) => chats[at].messages.find(({ role }) => role === 'assistant')?.text ?? ''
  await eventually(() => [0, 1, 2, 3].every(at => textOf(at).includes('20 ')))
  await app.ws.channel('board', 'b1').send({ type: 'n', data: 1 })
  tabs[0].close()
  go.open()
  await app.ws.channel('board', 'b1').send({ type: 'n', data: 2 })
  const whole = Array.from({ length: 60 }, (_, n) => `${n} `).join('')
  await eventually(() => [1, 2, 3].every(at => textOf(at) === whole && boards[at].got.length === 2))
  for (const { got } of boards.slice(1)) t.strictSame(got, [1, 2])
  const late = openTab(t, url).chat(target('c1'))
  await eventually(() => late.messages.find(({ role }) => role === 'assistant')?.text === whole)
  t.equal(late.messages.length, 2)
})

t.test('a channel stays subscribed while one tab uses it, and a request is answered on its tab', async t => {
  const { app, url } = await open(t)
  const [first, second] = [openTab(t, url), openTab(t, url)]
  const [a, b] = [numbersOf(first), numbersOf(second)]
  await eventually(() => a.channel.status === 'open' && b.channel.status === 'open')
  await Promise.all([a.channel.send('move', 1), b.channel.send('move', 2)])
  second.close()
  await app.ws.channel('board', 'b1').send({ type: 'n', data: 1 })
  await eventually(() => a.got.length === 1)
  const third = numbersOf(openTab(t, url))
  await eventually(() => third.channel.status === 'open')
  await app.ws.channel('board', 'b1').send({ type: 'n', data: 2 })
  await eventually(() => third.got.length === 1)
  t.strictSame([a.got, third.got], [[1, 2], [2]])
})

t.test('a tab that may not have a channel, or is removed from it, gets the reason, and so do the others', async t => {
  let isAllowed = true
  const room = defineChannel({ authorize: () => isAllowed })
  const { app, url } = await open(t, { channels: { room } })
  const [a, b] = [openTab(t, url), openTab(t, url)].map(tab => tab.channel('room', 'r1'))
  await eventually(() => a.status === 'open' && b.status === 'open')
  isAllowed = false
  await app.ws.channel('room', 'r1').remove('u1')
  await eventually(() => a.status === 'closed' && b.status === 'closed')
  t.match([a.closed, b.closed], [{ reason: 'removed' }, { reason: 'removed' }])
  const c = openTab(t, url).channel('room', 'r1')
  await eventually(() => c.status === 'closed')
  t.match(c.closed, { reason: 'forbidden' })
})

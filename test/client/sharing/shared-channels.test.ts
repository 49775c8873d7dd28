import { join } from 'node:path'
import { build } from 'esbuild'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import { createClient, type ChatClient } from '../../../lib/client/chat/index.js'
import { applied } from '../../../lib/client/channels/roster.js'
import { cursors } from '../../../lib/client/cursors.js'
import { parse } from '../../../lib/client/frame.js'
import type { ClientOptions, WebSocketConstructor } from '../../../lib/client/index.js'
import { sharedChannels } from '../../../lib/client/sharing/shared-channels.js'
import realtime, { defineChannel, type Envelope, type RealtimeOptions, type Run } from '../../../lib/index.js'
import { bundle, launch, skipBrowser } from '../../chromium.js'
import { connect } from '../../../lib/testing/index.js'
import { start } from '../../harness.js'
import { root } from '../../root.js'
import { eventually, gate, loopTurns } from '../../waiting.js'
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
      if (n % 5 === 0) await loopTurns()
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

/** WebSocket that keeps the names of the channels of each frame about subscriptions. */
function recording () {
  const frames: Array<[type: string, channels: string[]]> = []
  class Recording extends WebSocket {
    override send (frame: string): void {
      const { type, data } = JSON.parse(frame)
      if (/^(un)?subscribe$/.test(type)) frames.push([type, data.channels.map((of: string | { channel: string }) => typeof of === 'string' ? of : of.channel)])
      super.send(frame)
    }
  }
  return { frames, options: { WebSocket: Recording as unknown as WebSocketConstructor } }
}

t.test('the channels that a tab opens together are one frame, and those of a tab that dies are left', async t => {
  const { url } = await open(t)
  const { frames, options } = recording()
  const first = openTab(t, url, options)
  await first.connected()
  const second = openTab(t, url, options)
  const opened = ['b1', 'b2', 'b3'].map(id => second.channel('board', id))
  const shared = first.channel('board', 'b1')
  await eventually(() => [...opened, shared].every(({ status }) => status === 'open'))
  t.strictSame(frames.flat(2).filter(word => word.startsWith('board:')).sort(), ['board:b1', 'board:b2', 'board:b3'])
  t.ok(frames.length <= 2, 'a frame for each tab')
  locks.kill(/ [\da-f-]{36}$/)
  await eventually(() => frames.at(-1)![0] === 'unsubscribe')
  t.strictSame(frames.at(-1), ['unsubscribe', ['board:b2', 'board:b3']])
})

const script = `
  import { createClient } from '../../lib/client/chat/index.ts'
  const client = createClient({ userId: 'u1', share: location.hash === '#share', backoff: () => 50 })
  const seen = { titles: [], numbers: [] }
  client.on('notification', ({ title }) => { seen.titles.push(title) })
  const board = client.channel('board', 'b1')
  board.on('n', number => { seen.numbers.push(number) })
  const chats = ['c1', 'c2'].map(chatId => client.chat({ workflow: 'support', appId: 'shop', chatId }))
  const isReady = () => client.status === 'open' && board.status === 'open' && chats.every(({ status }) => status === 'ready')
  const answer = () => chats[0].messages.find(({ role }) => role === 'assistant')?.text ?? ''
  Object.assign(window, { client, seen, chats, isReady, answer })
`

t.test('a tab that reads a chat from its beginning restarts the others only if they have missed something', async t => {
  const subscribed = (position: string) => ({ type: 'subscribed', channel: 'chat:c', data: { position, replayed: 0 } }) as unknown as Envelope
  const publication = (id: string) => ({ type: 'chat_message', channel: 'chat:c', id, data: {} }) as unknown as Envelope
  // What the channel has published, the position of the second tab's subscription, and whether the first tab missed something.
  for (const [id, position, isMissed] of [
    [undefined, 'c.e.0', false],
    [undefined, 'c.e.2', true],
    ['c.e.5', 'c.e.0', false],
    ['c.e.5', 'c.e.5', false],
    ['c.e.5', 'c.e.6', true],
    ['c.e.5', 'c.f.0', true]
  ] as const) {
    const answers: Array<[id: string, type: string]> = []
    const channels = sharedChannels({ parse, cursors, applied }, () => {}, (id, frames) => {
      for (const frame of frames) answers.push([id, JSON.parse(frame).type])
    })
    const hear = (envelope: Envelope) => channels.hear(envelope, JSON.stringify(envelope))
    const subscribe = JSON.stringify({ type: 'subscribe', data: { channels: [{ channel: 'chat:c' }] } })
    channels.say(subscribe, 'a')
    t.equal(hear(subscribed('c.e.0')), 'a')
    if (id !== undefined) hear(publication(id))
    channels.say(subscribe, 'b')
    t.equal(hear(subscribed(position)), 'b')
    t.strictSame(answers, isMissed ? [['a', 'resync']] : [], `${id}, ${position}`)
  }
})

t.test('a tab that resumes a chat has the whole text, when another tab has read the chat from its beginning meanwhile', async t => {
  const [goOn, written, end] = [gate(), gate(), gate()]
  t.teardown(() => end.open())
  const onMessage = async (run: Run) => {
    const reply = run.reply()
    await reply.write('one ')
    // A publication after the beginning of the reply, up to which the first tab reads.
    await run.reply({ agent: 'other' }).write('x')
    await goOn.opened
    await reply.write('two')
    written.open()
    await end.opened
  }
  const { url } = await open(t, { chat: { onMessage } })
  const first = openTab(t, url)
  const chat = first.chat(target('c1'))
  const textsOf = ({ messages }: typeof chat) => messages.filter(({ role }) => role === 'assistant').map(({ text }) => text)
  await chat.send('go')
  await eventually(() => textsOf(chat).includes('x'))
  first.close()
  goOn.open()
  await written.opened
  const other = openTab(t, url).chat(target('c1'))
  await eventually(() => textsOf(other).join() === 'one two,x')
  first.reopen()
  await eventually(() => textsOf(chat).join() === 'one two,x')
})

t.test('a tab that resumes a chat reads it again from the server, but not beyond what the other tabs have, and not if the frames are yet to come', async t => {
  const chat = 'chat:c'
  const answers: Array<[id: string, type: string, position: unknown]> = []
  const sent: unknown[] = []
  const channels = sharedChannels({ parse, cursors, applied }, frame => sent.push(JSON.parse(frame)), (id, frames) => {
    for (const frame of frames) answers.push([id, JSON.parse(frame).type, JSON.parse(frame).data.position])
  })
  const hear = (envelope: object) => channels.hear(envelope as Envelope, JSON.stringify(envelope))
  const subscribe = (id: string, since?: string) => channels.say(JSON.stringify({ type: 'subscribe', data: { channels: [{ channel: chat, since }] } }), id)
  const subscribed = (position: string, recovered?: boolean) => hear({ type: 'subscribed', channel: chat, data: { position, recovered, replayed: 0 } })
  const again = (since: string) =>
    [{ type: 'unsubscribe', data: { channels: [chat] } }, { type: 'subscribe', data: { channels: [{ channel: chat, since }] } }]
  subscribe('a', 'c.e.2')
  for (const [id, since] of [['b', 'c.e.3'], ['c', 'c.e.1'], ['d', 'c.e.2'], ['e', 'c.d.9']] as const) subscribe(id, since)
  t.match(sent.splice(0), [{ type: 'subscribe' }])
  subscribed('c.e.2', true)
  t.strictSame(answers.splice(0), [['b', 'subscribed', 'c.e.3']], 'from here on it gets all frames')
  t.strictSame(sent.splice(0), again('c.e.1'))
  subscribed('c.e.1', true)
  t.strictSame(answers.splice(0), [['d', 'subscribed', 'c.e.2']])
  t.strictSame(sent.splice(0), again('c.d.9'), 'only the server knows that it is another epoch')
  subscribed('c.e.2', false)
  hear({ type: 'chat_message', channel: chat, id: 'c.e.5', data: {} })
  subscribe('b', 'c.e.9')
  t.strictSame(sent.splice(0), again('c.e.5'))
  subscribed('c.e.5', true)
  subscribe('b', 'c.e.4')
  t.strictSame(sent.splice(0), again('c.e.4'))
  t.strictSame(answers, [])
})

t.test('four pages of a browser, each with a bell, two chats and a board, have one socket, and without share four', { skip: skipBrowser }, async t => {
  const code = await bundle(script)
  const browser = await launch(t)
  for (const share of [true, false]) {
    const go = gate()
    const opened: string[] = []
    const app = Fastify()
    t.teardown(() => app.close())
    const onMessage = async (run: Run) => {
      const reply = run.reply()
      for (let n = 0; n < 60; n++) {
        await reply.write(`${n} `)
        if (n === 20) await go.opened
        if (n % 5 === 0) await loopTurns()
      }
    }
    await app.register(realtime, { channels: { board }, chat: { onMessage }, onConnect: ({ id }) => { opened.push(id) } })
    app.get('/', async (_request, reply) => reply.type('text/html').send('<script type="module" src="/page.js"></script>'))
    app.get('/page.js', async (_request, reply) => reply.type('text/javascript').send(code))
    const url = await app.listen({ port: 0, host: '127.0.0.1' })
    const context = await browser.newContext()
    t.teardown(() => context.close())
    const pages = []
    for (let n = 0; n < 4; n++) {
      const page = await context.newPage()
      page.on('pageerror', error => t.fail(error))
      await page.goto(share ? `${url}/#share` : url)
      await page.waitForFunction('isReady()')
      pages.push(page)
    }
    t.equal(opened.length, share ? 1 : 4)
    t.equal(app.ws.connections('u1').length, share ? 1 : 4)

    const publish = async (n: number) => {
      await app.ws.sendToUser('u1', { type: 'notification', data: { title: `${n}` } })
      await app.ws.channel('board', 'b1').send({ type: 'n', data: n })
    }
    await pages[1].evaluate('chats[0].send("go").then(() => {})')
    for (const page of pages) await page.waitForFunction('answer().includes("20 ")')
    await publish(1)
    await pages[1].waitForFunction('seen.numbers.length === 1')
    // The first page leads.
    await pages.shift()!.close()
    go.open()
    await publish(2)
    const whole = Array.from({ length: 60 }, (_, n) => `${n} `).join('')
    for (const page of pages) {
      await page.waitForFunction(`answer() === ${JSON.stringify(whole)} && seen.numbers.length >= 2 && seen.titles.length >= 2`)
      t.strictSame(await page.evaluate('seen'), { titles: ['1', '2'], numbers: [1, 2] })
    }
    t.equal(opened.length, share ? 2 : 4)
  }
})

t.test('a page that cannot load the code for tabs has a connection of its own, and reports the error once', { skip: skipBrowser }, async t => {
  const browser = await launch(t)
  const { outputFiles } = await build({
    stdin: {
      contents: `
        import { createClient } from '../../lib/client/index.ts'
        const errors = []
        const client = createClient({ userId: 'u1', share: true, backoff: () => 50, onError: error => errors.push(String(error)) })
        Object.assign(window, { client, errors })
      `,
      resolveDir: join(root, 'test/browser'),
      loader: 'js'
    },
    bundle: true,
    splitting: true,
    outdir: '/',
    format: 'esm',
    write: false
  })
  const app = Fastify()
  t.teardown(() => app.close())
  let opened = 0
  await app.register(realtime, { onConnect: () => { opened++ } })
  app.get('/', async (_request, reply) => reply.type('text/html').send('<script type="module" src="/stdin.js"></script>'))
  for (const { path, text } of outputFiles.filter(({ path }) => !path.startsWith('/tabs'))) {
    app.get(path, async (_request, reply) => reply.type('text/javascript').send(text))
  }
  const page = await browser.newPage()
  await page.goto(await app.listen({ port: 0, host: '127.0.0.1' }))
  await page.evaluate('client.connected()')
  app.ws.connections('u1')[0].close(1013)
  await eventually(() => opened === 2)
  t.match((await page.evaluate<string[]>('errors')).filter(error => error.includes('imported module')), { length: 1 })
})

t.test('a client that is closed while the code for tabs is loaded does not connect', async t => {
  const { url, opened } = await open(t)
  const client = openTab(t, url)
  client.close()
  await loopTurns()
  const other = openTab(t, url)
  await other.connected()
  t.equal(client.status, 'closed')
  t.equal(opened.length, 1)
  other.close()
  await eventually(() => locks.size === 0)
})

t.test('tabs show who is present, are one connection for others, and show them the data of the tab that is left', async t => {
  const room = defineChannel({ authorize: () => true, presence: true })
  const { app, url } = await open(t, { channels: { room }, chat: { presence: true } })
  const other = await connect(app, { userId: 'u2', timeout: 10_000 })
  await other.subscribe('room:r1')
  const [first, second] = [openTab(t, url), openTab(t, url)]
  const a = first.channel('room', 'r1')
  await eventually(() => a.presence.count === 2)
  const b = second.channel('room', 'r1')
  await eventually(() => b.presence.count === 2)
  t.strictSame(b.presence.members, a.presence.members)
  const chats = [first, second].map(tab => tab.chat(target('c1')))
  await eventually(() => chats.every(({ presence }) => presence.count === 1))
  const hasData = (data: unknown) => other.presence('room:r1', ({ members }) =>
    members.some(({ userId, connections }) => userId === 'u1' && connections.length === 1 && connections[0].data === data))
  a.presence.update('of a')
  await hasData('of a')
  b.presence.update('of b')
  await hasData('of b')
  await eventually(() => JSON.stringify(a.presence.members).includes('of b'))
  second.close()
  await hasData('of a')
  first.close()
  await t.resolves(other.presence('room:r1', ({ count }) => count === 1))
})

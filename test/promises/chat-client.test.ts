import { Type } from '@sinclair/typebox'
import t from 'tap'
import { WebSocket } from 'ws'
import { createChat, type Chat, type ChatOptions, type WebSocketConstructor } from '../../lib/client/chat/index.js'
import { tokenOf, type RealtimeConnection, type RealtimeOptions, type SavedMessage } from '../../lib/index.js'
import { start } from '../harness.js'
import { eventually, gate, loopTurns } from '../waiting.js'

interface Scope {
  teardown (action: () => unknown): void
}

/** A `WebSocket` of `ws` that waits 100 ms, not 30 s, for the answer to a Close. */
class Socket extends WebSocket {
  constructor (url: string, protocols?: string[]) {
    super(url, protocols, { closeTimeout: 100 } as object)
  }
}

const address = { workflow: 'support', appId: 'shop', chatId: 'c1', userId: 'ada' }

async function serve (t: Scope, chat: RealtimeOptions['chat'], options: RealtimeOptions = {}) {
  const { app, url } = await start(t, { chat, ...options })
  return {
    app,
    device: (options: Partial<ChatOptions> = {}): Chat => {
      const chat = createChat({ ...address, baseUrl: `${url}/ws`, WebSocket: Socket as WebSocketConstructor, backoff: () => 0, ...options })
      t.teardown(() => chat.end())
      return chat
    },
    cut: () => { for (const connection of app.ws.connections('ada')) (connection as RealtimeConnection & { terminate (): void }).terminate() }
  }
}

const contentOf = (item: Chat['items'][number]) =>
  item.kind === 'message' ? item.text : item.kind === 'tool' ? item.output : item.kind === 'question' ? item.value : ''
const shown = (chat: Chat) => chat.items.map(item => `${item.kind} ${contentOf(item)}: ${item.status}`)

t.test('two devices and one that connects later show the same messages, tool and question', async t => {
  const { device } = await serve(t, {
    async onMessage (run, { content }) {
      const found = await run.tool('search', { q: content }, async () => '3 hits')
      const which = await run.ask({ prompt: 'Which?', schema: Type.String() })
      await run.stream((async function * () { for (const text of ['You chose ', which, ' of ', found]) yield text })(), { agent: 'planner' })
    }
  })
  const phone = device()
  const laptop = device()
  await eventually(() => phone.status === 'ready' && laptop.status === 'ready')
  const sent = phone.send('Hi', { data: { files: ['a'] } })
  t.equal(phone.status, 'submitted')
  await sent
  await eventually(() => phone.question !== undefined && laptop.question !== undefined)
  t.equal(laptop.status, 'waiting')
  const { question } = phone
  await t.rejects(question!.answer(5), { code: 'bad_value' })
  t.equal(phone.question, question)
  await laptop.question!.answer('b')
  await eventually(() => phone.status === 'ready' && laptop.status === 'ready')
  await t.rejects(question!.answer('c'), { code: 'input_closed' })
  const all = ['message Hi: complete', 'tool 3 hits: complete', 'question b: answered', 'message You chose b of 3 hits: complete']
  t.strictSame(shown(phone), all)
  t.strictSame(shown(laptop), all)
  t.match(laptop.messages[0], { id: phone.messages[0].id, role: 'user', userId: 'ada', data: { files: ['a'] } })
  t.match(laptop.messages[1], { agent: 'planner', role: 'assistant' })
  const late = device()
  await eventually(() => late.items.length === 4)
  t.strictSame([...shown(late)].sort(), [...all].sort())
})

t.test('a chat that loses its connection 50 times during an answer shows the text that was written', async t => {
  const texts = new Map<string, string>()
  let cut = () => {}
  const { device, cut: cutAll } = await serve(t, {
    async onMessage (run) {
      const reply = run.reply()
      let text = ''
      const write = (part: string) => { reply.write(part); text += part }
      for (let n = 0; n < 2_000; n++) {
        // A surrogate pair in two tokens.
        for (const part of [`token ${n} \ud83d`, '\ude00 ']) {
          write(part)
          if (n % 3 === 0) await loopTurns(1)
        }
        if (n % 40 === 0) cut()
      }
      texts.set(reply.id, text)
      await reply.end()
    }
  })
  const chats = [device(), device()]
  await eventually(() => chats.every(({ connection }) => connection === 'open'))
  cut = cutAll
  await chats[0].send('Hi')
  await eventually(() => texts.size === 1 && chats.every(({ status, messages }) => status === 'ready' && messages.length === 2))
  const [[id, text]] = texts
  for (const { messages } of chats) {
    t.match(messages[1], { id, status: 'complete' })
    t.equal(messages[1].text === text, true)
  }
})

t.test('stop cancels the active and the queued run, and a message that is sent twice under one id appears once', async t => {
  const runs: string[] = []
  const aborted = gate()
  const { device, cut } = await serve(t, {
    async onMessage (run, { content }) {
      runs.push(content)
      const reply = run.reply()
      reply.write('thinking')
      run.signal.addEventListener('abort', () => aborted.open())
      await aborted.opened
    }
  })
  const chat = device()
  await chat.send('1')
  await eventually(() => chat.status === 'streaming' && chat.messages.length === 2)
  const second = chat.send('2', { id: 'm2' })
  cut()
  await second
  await chat.send('2', { id: 'm2' })
  await chat.stop()
  await aborted.opened
  await eventually(() => chat.status === 'ready')
  t.strictSame(runs, ['1'])
  t.strictSame(shown(chat), ['message 1: complete', 'message thinking: cancelled', 'message 2: cancelled'])
})

t.test('a message beyond the limit of runs is refused with chat_busy, and is accepted when it is sent again later', async t => {
  const done = gate()
  const { device } = await serve(t, { onMessage: () => done.opened }, { limits: { runs: 1 } })
  const chat = device()
  await chat.send('1')
  await chat.send('2')
  await t.rejects(chat.send('3', { id: 'm3' }), { code: 'chat_busy' })
  t.match(chat.messages[2], { text: '3', status: 'error', error: { code: 'chat_busy' } })
  done.open()
  await eventually(() => chat.status === 'ready')
  await chat.send('3', { id: 'm3' })
  t.strictSame(shown(chat), ['message 1: complete', 'message 2: complete', 'message 3: complete'])
})

t.test('a chat that missed more than the history holds gets the whole answer and the open question', async t => {
  const began = gate()
  const done = gate()
  const { app, device } = await serve(t, undefined, { history: { size: 2 } })
  const chat = device()
  await eventually(() => chat.status === 'ready')
  const target = app.ws.chat(address)
  await target.send({ type: 'chat_message', data: { message_id: 'before', content: 'before' } })
  await eventually(() => chat.messages.length === 1)
  app.ws.disconnectUser('ada', 4430)
  for (let n = 0; n < 10; n++) await target.send({ type: 'chat_message', data: { message_id: `missed${n}`, content: 'missed' } })
  target.start(async run => {
    const reply = run.reply()
    reply.write('The beginning')
    await loopTurns(1)
    began.open()
    await run.ask({ prompt: 'Go on?' })
    reply.write(', and the end')
    done.open()
  })
  await began.opened
  await eventually(() => chat.question !== undefined)
  t.ok(shown(chat).includes('message The beginning: streaming'))
  await chat.question!.answer(true)
  await done.opened
  await eventually(() => chat.status === 'ready')
  t.ok(shown(chat).includes('message The beginning, and the end: complete'), shown(chat).join())
})

t.test('a chat that is opened when the log has lost most messages gets all of them from loadHistory', async t => {
  const saved: SavedMessage[] = []
  const { device } = await serve(t, {
    onMessage: async (run, { content }) => { await run.stream((async function * () { yield `echo ${content}` })()) },
    save: message => { saved.push(message) },
    loadHistory: (_target, before) => {
      const end = before === undefined ? saved.length : saved.findIndex(({ message_id: id }) => id === before)
      return saved.slice(Math.max(0, end - 4), end)
    }
  }, { history: { size: 2 } })
  const first = device()
  for (const text of ['1', '2', '3']) {
    await first.send(text)
    await eventually(() => first.status === 'ready' && first.messages.at(-1)!.text === `echo ${text}`)
  }
  const next = device({ history: true })
  await eventually(() => next.messages.length === 4)
  t.strictSame(next.messages.map(({ text }) => text), ['2', 'echo 2', '3', 'echo 3'])
  t.equal(await next.loadOlder(), false)
  t.strictSame(next.messages.map(({ text }) => text), ['1', 'echo 1', '2', 'echo 2', '3', 'echo 3'])
  t.equal(await next.loadOlder(), true)
  t.equal(next.isComplete, true)
  t.strictSame(new Set(next.messages.map(({ id }) => id)), new Set(first.messages.map(({ id }) => id)))
})

/** A chat of ada that admits every user. A token is a user id. */
async function serveShared (t: Scope, chat: RealtimeOptions['chat'] = { onMessage: () => {} }) {
  const { app, device } = await serve(t, chat, { authenticate: request => ({ userId: tokenOf(request)! }), authorize: () => true })
  return { app, device: (user: string, options: Partial<ChatOptions> = {}) => device({ getToken: () => user, ...options }) }
}

const ids = (chat: Chat) => chat.messages.map(({ id, userId, status }) => [id, userId, status])

t.test('messages that two users send under the same id are two messages, and each has one id on all devices', async t => {
  const { device } = await serveShared(t)
  const [ada, bob] = [device('ada'), device('bob')]
  await eventually(() => ada.status === 'ready' && bob.status === 'ready')
  const sent = bob.send('Hi', { id: 'm1' })
  t.strictSame(ids(bob), [['bob/m1', 'bob', 'pending']], 'the pending message has its final id')
  await sent
  t.strictSame(ids(bob), [['bob/m1', 'bob', 'complete']])
  await ada.send('Hello', { id: 'm1' })
  const both = [['bob/m1', 'bob', 'complete'], ['m1', 'ada', 'complete']]
  for (const chat of [ada, bob]) {
    await eventually(() => chat.messages.length === 2 && chat.status === 'ready')
    t.strictSame(ids(chat), both)
  }
})

t.test('messages that a participant sends before the connection opens get their final ids when it opens, failed ones too', async t => {
  const { device } = await serveShared(t)
  const bob = device('bob', { queue: 2 })
  const sent = [bob.send('one', { id: 'm1' }), bob.send('two', { id: 'm2' })]
  await t.rejects(bob.send('three', { id: 'm3' }), { code: 'queue_full' })
  t.strictSame(bob.messages.map(({ text, status }) => [text, status]), [['three', 'error'], ['one', 'pending'], ['two', 'pending']])
  await Promise.all(sent)
  await eventually(() => bob.status === 'ready')
  t.strictSame(ids(bob), [['bob/m3', 'bob', 'error'], ['bob/m1', 'bob', 'complete'], ['bob/m2', 'bob', 'complete']])
  await bob.send('three', { id: bob.messages[0].id })
  await eventually(() => bob.status === 'ready')
  t.strictSame(ids(bob), [['bob/m1', 'bob', 'complete'], ['bob/m2', 'bob', 'complete'], ['bob/m3', 'bob', 'complete']], 'a send under the id of a failed message retries it')
})

t.test('a participant can send a message again after the server refused it', async t => {
  let isFull = true
  const { device } = await serveShared(t, { onMessage: () => {}, save: () => { if (isFull) throw new Error('disk full') } })
  const bob = device('bob')
  await eventually(() => bob.status === 'ready')
  await t.rejects(bob.send('Hi', { id: 'm1' }), { code: 'handler_failed' })
  t.strictSame(ids(bob), [['bob/m1', 'bob', 'error']])
  isFull = false
  await bob.send('Hi', { id: 'bob/m1' })
  await eventually(() => bob.status === 'ready')
  t.strictSame(ids(bob), [['bob/m1', 'bob', 'complete']])
})

t.test('stop by any participant cancels the active and the queued runs of all participants', async t => {
  const { device } = await serveShared(t, { onMessage: run => new Promise(resolve => run.signal.addEventListener('abort', resolve)) })
  const [ada, bob] = [device('ada'), device('bob')]
  await eventually(() => ada.status === 'ready' && bob.status === 'ready')
  await ada.send('one')
  await bob.send('two')
  await ada.send('three')
  const late = device('eve')
  await eventually(() => late.messages.length === 3 && late.status === 'streaming')
  await late.stop()
  for (const chat of [ada, bob, late]) await eventually(() => chat.status === 'ready')
  await ada.send('four')
  await eventually(() => ada.status === 'streaming')
  await ada.stop()
  await eventually(() => ada.status === 'ready')
})

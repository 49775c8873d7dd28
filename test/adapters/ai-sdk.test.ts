import { Type } from '@sinclair/typebox'
import { readUIMessageStream, type UIMessage, type UIMessageChunk } from 'ai'
import t from 'tap'
import { WebSocket } from 'ws'
import { RealtimeChatTransport, type RealtimeChatTransportOptions } from '../../lib/adapters/ai-sdk.js'
import type { WebSocketConstructor } from '../../lib/client/index.js'
import { tokenOf } from '../../lib/index.js'
import { found } from '../every.js'
import { start } from '../harness.js'
import { eventually, gate } from '../waiting.js'
import { startAgent } from './agent.js'

interface Scope {
  teardown (action: () => unknown): void
}

/** WebSocket of `ws`, which would otherwise wait 30 s for the answer to a Close. */
class Socket extends WebSocket {
  constructor (url: string, protocols?: string[]) {
    super(url, protocols, { closeTimeout: 100 } as object)
  }
}

function transportTo (t: Scope, url: string, options: Partial<RealtimeChatTransportOptions> = {}): RealtimeChatTransport {
  const transport = new RealtimeChatTransport({
    baseUrl: `${url}/ws`, workflow: 'support', appId: 'shop', userId: 'ada', WebSocket: Socket as WebSocketConstructor, backoff: () => 0, ...options
  })
  t.teardown(() => transport.close())
  return transport
}

const userMessage = (text: string, id = `m-${text}`): UIMessage => ({ id, role: 'user', parts: [{ type: 'text', text }] })

const sending = (text: string, more: object = {}) => ({
  trigger: 'submit-message' as const, chatId: 'c1', messageId: undefined, messages: [userMessage(text)], abortSignal: undefined, ...more
})

/** Resolves with all chunks once the stream has ended. */
async function all (stream: ReadableStream<UIMessageChunk>): Promise<UIMessageChunk[]> {
  const chunks: UIMessageChunk[] = []
  for await (const chunk of stream as unknown as AsyncIterable<UIMessageChunk>) chunks.push(chunk)
  return chunks
}

/** Collects the chunks of a stream. */
function collect (stream: ReadableStream<UIMessageChunk>): { chunks: UIMessageChunk[], ended: Promise<void>, text (): string } {
  const chunks: UIMessageChunk[] = []
  const ended = (async () => { for await (const chunk of stream as unknown as AsyncIterable<UIMessageChunk>) chunks.push(chunk) })()
  return { chunks, ended, text: () => textOf(chunks) }
}

const textOf = (chunks: UIMessageChunk[]) => chunks.map(chunk => chunk.type === 'text-delta' ? chunk.delta : '').join('')

/** Returns the message that the AI SDK makes of the chunks. */
async function messageOf (chunks: UIMessageChunk[]): Promise<UIMessage> {
  const stream = new ReadableStream<UIMessageChunk>({
    start (controller) {
      for (const chunk of chunks) controller.enqueue(chunk)
      controller.close()
    }
  })
  let last: UIMessage | undefined
  for await (const message of readUIMessageStream({ stream })) last = message
  return last!
}

t.test('sendMessages sends a message and streams its run', async t => {
  const { url, messages, app } = await startAgent(t, async (run, { content }) => {
    const reply = run.reply({ agent: 'echo' })
    for (const word of ['You ', 'said ', content, ' 👋🏽']) reply.write(word)
    await reply.end()
  })
  const transport = transportTo(t, url)
  const chunks = await all(await transport.sendMessages(sending('hello', { body: { model: 'm' }, metadata: { a: 1 } })))
  t.match(messages, [{ id: 'm-hello', content: 'hello', userId: 'ada', data: { trigger: 'submit-message', model: 'm', metadata: { a: 1 } } }])
  t.equal(chunks[0].type, 'start')
  t.strictSame(chunks.at(-1), { type: 'finish', finishReason: 'stop' })
  const { id, role, parts } = await messageOf(chunks)
  t.equal(role, 'assistant')
  t.strictSame(chunks[0], { type: 'start', messageId: id })
  t.match(parts, [{ type: 'text', text: 'You said hello 👋🏽', state: 'done', providerMetadata: { 'fastify-realtime': { agent: 'echo' } } }])
  t.equal(app.ws.stats().connections, 1, 'the connection stays open for the next message')
  t.equal(textOf(await all(await transport.sendMessages(sending('again')))), 'You said again 👋🏽')
  t.equal(app.ws.stats().connections, 1)
})
t.test('tools, questions, messages of the app and several replies of one run are parts of one message', async t => {
  const shown = gate()
  const { url } = await startAgent(t, async run => {
    const [one, two] = [run.reply({ agent: 'one' }), run.reply({ agent: 'two' })]
    one.write('1a')
    two.write('2a')
    one.write('1b')
    await run.tool('search', { q: 'milk' }, async ({ progress }) => {
      progress({ done: 0.5 })
      await shown.opened
      return { found: 2 }
    })
    await run.tool('fail', {}, async () => { throw new Error('broken') }).catch(() => {})
    await run.send({ type: 'order_packed', data: { run_id: run.id, order: 7 } })
    await run.send({ type: 'not_of_the_run' })
    two.write(`2b ${await run.ask({ prompt: 'Sure?', schema: Type.Boolean() })}`)
  })
  const transport = transportTo(t, url)
  const { chunks, ended } = collect(await transport.sendMessages(sending('go')))
  const isProgress = (chunk: UIMessageChunk) => chunk.type === 'tool-output-available' && chunk.preliminary === true
  await eventually(() => chunks.some(isProgress))
  t.match(chunks.find(isProgress), { output: { done: 0.5 } })
  shown.open()
  const isQuestion = (chunk: UIMessageChunk) => chunk.type === 'data-input_request'
  await eventually(() => chunks.some(isQuestion))
  const question = chunks.find(isQuestion) as { id: string }
  await t.rejects(transport.respond('c1', question.id, 'yes'), { code: 'bad_value' })
  await transport.respond('c1', question.id, true)
  await t.rejects(transport.respond('c1', question.id, true), { code: 'input_closed' })
  await ended
  const { parts } = await messageOf(chunks)
  t.match(parts, [
    { type: 'text', text: '1a1b', providerMetadata: { 'fastify-realtime': { agent: 'one' } } },
    { type: 'text', text: '2a2b true', providerMetadata: { 'fastify-realtime': { agent: 'two' } } },
    { type: 'tool-search', state: 'output-available', input: { q: 'milk' }, output: { found: 2 }, preliminary: undefined },
    { type: 'tool-fail', state: 'output-error', errorText: String },
    { type: 'data-order_packed', data: { order: 7 } },
    { type: 'data-input_request', data: { prompt: 'Sure?', schema: { type: 'boolean' }, closed: { reason: 'answered', value: true, user_id: 'ada' } } }
  ])
  t.equal(parts.length, 6)
})

t.test('no text is lost or repeated when the connection is cut several times during an answer', async t => {
  const words = Array.from({ length: 40 }, (_, n) => `${n} 🧵 `)
  const steps = words.map(() => gate())
  const { url, cut, app } = await startAgent(t, async run => {
    const reply = run.reply()
    for (const [at, word] of words.entries()) {
      await steps[at].opened
      reply.write(word)
    }
    await reply.end()
  })
  const { ended, text } = collect(await transportTo(t, url).sendMessages(sending('count')))
  for (const [at, step] of steps.entries()) {
    if (at % 3 === 1) await eventually(() => text() === words.slice(0, at).join(''))
    if (at % 3 === 0) cut()
    step.open()
    if (at % 6 === 0) await eventually(() => app.ws.stats().connections === 0 || text().length > 0)
  }
  await ended
  t.equal(text(), words.join(''))
})

t.test('a resumed stream begins with the text that was written before', async t => {
  const go = gate()
  const { url, app } = await startAgent(t, async run => {
    const reply = run.reply()
    reply.write('before ')
    await go.opened
    reply.write('after')
  })
  const first = transportTo(t, url)
  t.equal(await first.reconnectToStream({ chatId: 'c1' }), null, 'there is no run yet')
  t.equal(await first.reconnectToStream({ chatId: 'c1' }), null, 'also on the open connection')
  const sent = collect(await first.sendMessages(sending('go')))
  await eventually(() => sent.text() === 'before ')

  // Another page, and another part of the same page.
  const second = transportTo(t, url)
  const streams = [await second.reconnectToStream({ chatId: 'c1' }), await first.reconnectToStream({ chatId: 'c1' })]
  const resumed = streams.map(stream => collect(stream!))
  await eventually(() => resumed.every(({ text }) => text() === 'before '))
  go.open()
  await Promise.all([sent, ...resumed].map(({ ended }) => ended))
  for (const { text, chunks } of resumed) {
    t.equal(text(), 'before after')
    t.same(chunks[0], sent.chunks[0], 'it is the same message')
    t.strictSame(chunks.at(-1), { type: 'finish', finishReason: 'stop' })
  }
  t.equal(await second.reconnectToStream({ chatId: 'c1' }), null, 'the run is over')
  t.equal(await transportTo(t, url).reconnectToStream({ chatId: 'c1' }), null, 'also for a new connection, although the run is in the log')
  first.close()
  second.close()
  await eventually(() => app.ws.stats().connections === 1)
})

t.test('a page that is loaded while a message waits for its turn resumes the stream of that message', async t => {
  const go = gate()
  const { url, app } = await startAgent(t, async (run, { content }) => {
    await go.opened
    run.reply().write(content)
  })
  const other = app.ws.chat({ workflow: 'support', appId: 'shop', chatId: 'c1', userId: 'ada' }).start(() => go.opened)
  const first = transportTo(t, url)
  const sent = collect(await first.sendMessages(sending('hello')))
  await t.rejects(first.respond('c1', 'unknown', 1), { code: 'input_closed' })
  t.strictSame(sent.chunks, [])
  const resumed = collect((await transportTo(t, url).reconnectToStream({ chatId: 'c1' }))!)
  other.cancel()
  go.open()
  for (const { ended, text } of [sent, resumed]) {
    await ended
    t.equal(text(), 'hello')
  }
})

t.test('in a shared chat each user reads the answer to their own message, even when the ids are the same', async t => {
  const { url, messages } = await startAgent(t, (run, { userId }) => { run.reply().write(`Hello ${userId}`) }, {
    authenticate: request => ({ userId: tokenOf(request)! }), authorize: () => true
  })
  const transports = ['ada', 'bob'].map(user => transportTo(t, url, { getToken: () => user }))
  const streams = await Promise.all(transports.map(transport => transport.sendMessages(sending('hi'))))
  t.strictSame((await Promise.all(streams.map(all))).map(textOf), ['Hello ada', 'Hello bob'])
  t.strictSame(messages.map(({ id }) => id).sort(), ['bob/m-hi', 'm-hi'])

  // The messages of a page that was loaded from the database.
  const loaded = { trigger: 'regenerate-message', messageId: 'a1', messages: [userMessage('hi', 'bob/m-hi')] }
  t.equal(textOf(await all(await transports[1].sendMessages(sending('', loaded)))), 'Hello bob')
  t.equal(textOf(await all(await transports[1].sendMessages(sending('', { ...loaded, messages: [userMessage('hi', 'x'.repeat(257))] })))), 'Hello bob')
})

t.test('stopping a stream stops its own run and no other', async t => {
  const { url, runs } = await startAgent(t, async (run, { content }) => {
    run.reply().write('text')
    if (content === 'wait') await new Promise(resolve => run.signal.addEventListener('abort', resolve))
  })
  const transport = transportTo(t, url)

  t.test('stopping ends the run on the server', async t => {
    const stop = new AbortController()
    const { text, chunks, ended } = collect(await transport.sendMessages(sending('wait', { abortSignal: stop.signal })))
    await eventually(() => text() === 'text')
    t.equal(runs.at(-1)!.signal.aborted, false)
    stop.abort()
    await ended
    t.equal(chunks.at(-1)!.type, 'abort')
    await eventually(() => runs.at(-1)!.signal.aborted)
    t.equal(await runs.at(-1)!.finished, 'cancelled')
  })

  t.test('stopping a resumed stream ends its run, unless the next resume has replaced the stream', async t => {
    const stops = [new AbortController(), new AbortController()]
    const sent = collect(await transport.sendMessages(sending('wait', { messages: [userMessage('wait', 'm2')] })))
    await eventually(() => sent.text() === 'text')
    const first = collect((await transport.reconnectToStream({ chatId: 'c1', abortSignal: stops[0].signal }))!)
    stops[0].abort()
    const second = await transport.reconnectToStream({ chatId: 'c1', abortSignal: stops[1].signal })
    await first.ended
    t.equal(first.chunks.at(-1)!.type, 'abort')
    // Waits until the server has handled the earlier messages.
    await t.rejects(transport.respond('c1', 'unknown', 1), { code: 'input_closed' })
    t.equal(runs.at(-1)!.signal.aborted, false)
    const { chunks, ended } = collect(second!)
    stops[1].abort()
    await ended
    t.equal(chunks.at(-1)!.type, 'abort')
    await eventually(() => runs.at(-1)!.signal.aborted)
  })

  t.test('a stream that is stopped before it sends its message sends nothing', async t => {
    const { length } = runs
    t.strictSame(await all(await transport.sendMessages(sending('never', { abortSignal: AbortSignal.abort() }))), [{ type: 'abort' }])
    t.equal(await transport.reconnectToStream({ chatId: 'c1', abortSignal: AbortSignal.abort() }), null)
    await all(await transport.sendMessages(sending('after')))
    t.equal(runs.length, length + 1)
  })

  t.test('a reader that cancels its stream does not stop the run', async t => {
    const stream = await transport.sendMessages(sending('wait', { messages: [userMessage('wait', 'm3')] }))
    const reader = stream.getReader()
    await reader.read()
    await reader.cancel()
    const resumed = collect((await transport.reconnectToStream({ chatId: 'c1' }))!)
    await eventually(() => resumed.text() === 'text')
    t.equal(runs.at(-1)!.signal.aborted, false)
    runs.at(-1)!.cancel()
    await resumed.ended
    t.strictSame(resumed.chunks.at(-1), { type: 'abort', reason: 'cancelled' }, 'the app can cancel the run too')
  })

  t.test('stopping ends a run that waits for its turn', async t => {
    const going = collect(await transport.sendMessages(sending('wait', { messages: [userMessage('wait', 'm5')] })))
    await eventually(() => going.text() === 'text')
    const { length } = runs
    const stop = new AbortController()
    const waiting = collect(await transport.sendMessages(sending('next', { abortSignal: stop.signal })))
    stop.abort()
    await waiting.ended
    // Waits until the server has handled the earlier messages.
    await t.rejects(transport.respond('c1', 'unknown', 1), { code: 'input_closed' })
    t.strictSame(waiting.chunks, [{ type: 'abort' }])
    t.equal(runs[length - 1].signal.aborted, false)
    runs[length - 1].cancel()
    await going.ended
    t.equal(textOf(await all(await transport.sendMessages(sending('last')))), 'text')
    t.equal(runs.length, length + 1, 'it never began')
  })
})

t.test('regenerate sends the last message again, and the continuation of a message of the page has its id', async t => {
  const { url, messages } = await startAgent(t, async run => { run.reply().write('answer') })
  const transport = transportTo(t, url)
  const conversation = [userMessage('hi')]
  await all(await transport.sendMessages(sending('hi')))
  for (let times = 0; times < 2; times++) {
    const chunks = await all(await transport.sendMessages(sending('', { trigger: 'regenerate-message', messageId: 'a1', messages: conversation })))
    t.equal(textOf(chunks), 'answer', 'the server handles it as a new message')
  }
  t.match(messages.slice(1), Array.from({ length: 2 }, () => ({ content: 'hi', data: { trigger: 'regenerate-message', target_id: 'a1', repeats: 'm-hi', ui_message: undefined } })))
  t.equal(new Set(messages.map(({ id }) => id)).size, 3)

  const answer: UIMessage = { id: 'a2', role: 'assistant', parts: [{ type: 'text', text: 'which?' }] }
  const [start] = await all(await transport.sendMessages(sending('', { messageId: 'a2', messages: [...conversation, answer] })))
  t.same(start, { type: 'start', messageId: 'a2' })
  t.match(messages.at(-1), { content: 'hi', data: { ui_message: answer, target_id: undefined, repeats: 'm-hi' } })

  const file = { type: 'file' as const, mediaType: 'text/plain', url: 'data:,x' }
  await all(await transport.sendMessages(sending('', { messages: [{ id: 'f', role: 'user', parts: [file, { type: 'text', text: 'see' }] }] })))
  t.match(messages.at(-1), { id: 'f', content: 'see', data: { ui_message: { parts: [file] } } })
})

t.test('a message that is sent again has a new id that the server accepts, whatever the id of the page is', async t => {
  const { url, messages } = await startAgent(t, async () => {})
  const transport = transportTo(t, url)
  for (const id of ['x'.repeat(128), 'ada/m-1']) {
    const chunks = await all(await transport.sendMessages(sending('', { trigger: 'regenerate-message', messages: [userMessage('hi', id)] })))
    t.equal(chunks.at(-1)!.type, 'finish', id)
    t.equal((messages.at(-1)!.data as Record<string, unknown>).repeats, id)
    t.not(messages.at(-1)!.id, id)
  }
  t.ok(messages[0].id.startsWith('x'.repeat(100)))
  t.match(messages[1].id, /^ada~m-1~/)
})

t.test('a message has the text of all its parts, and what the page adds to the request', async t => {
  const { url, messages } = await startAgent(t, async () => {})
  const transport = transportTo(t, url)
  const parts = ['one ', 'two'].map(text => ({ type: 'text' as const, text }))
  await all(await transport.sendMessages(sending('', { messages: [{ id: 'm1', role: 'user', parts }], body: { model: 'small' }, metadata: { of: 'request' } })))
  t.match(messages[0], { id: 'm1', content: 'one two', data: { model: 'small', metadata: { of: 'request' }, trigger: 'submit-message' } })
  t.strictSame(found(Object.keys(messages[0].data!), name => /ui_message|repeats|target_id/.test(name)), [], 'a text of the user is only its content')
  await all(await transport.sendMessages(sending('', { messages: [{ id: 'm2', role: 'user', parts, metadata: { of: 'message' } }] })))
  t.match(messages[1].data, { ui_message: { id: 'm2', metadata: { of: 'message' } } })
})

t.test('prepareSendMessagesRequest replaces all fields but the text and the ids of the message', async t => {
  const { url, messages } = await startAgent(t, async () => {})
  const given: unknown[] = []
  const transport = transportTo(t, url, {
    prepareSendMessagesRequest: async request => {
      given.push(request)
      return { body: { only: 'this', message_id: 'other' } }
    }
  })
  const hi = userMessage('hi')
  await all(await transport.sendMessages(sending('', { messages: [hi], body: { model: 'small' }, metadata: { a: 1 } })))
  await all(await transport.sendMessages(sending('', { trigger: 'regenerate-message', messageId: 'a1', messages: [hi] })))
  t.match(given, [
    { id: 'c1', messages: [hi], trigger: 'submit-message', messageId: undefined, body: { model: 'small' }, requestMetadata: { a: 1 } },
    { id: 'c1', messages: [hi], trigger: 'regenerate-message', messageId: 'a1' }
  ])
  t.match(messages, [{ id: 'm-hi', content: 'hi', data: { only: 'this' } }, { content: 'hi', data: { only: 'this', repeats: 'm-hi' } }])
  t.strictSame(found(messages.flatMap(({ data }) => Object.keys(data!)), name => /model|metadata|trigger|target_id/.test(name)), [])
  t.not(messages[1].id, 'other')
})

t.test('the last chunk of a stream reports its failure', async t => {
  t.test('a run that fails ends its stream with its error', async t => {
    const { url } = await startAgent(t, async run => {
      run.reply().write('so far')
      throw new Error('out of tokens')
    })
    const chunks = await all(await transportTo(t, url).sendMessages(sending('go')))
    t.strictSame(chunks.at(-1), { type: 'error', errorText: 'handler_failed: the server could not finish this run' })
    t.equal(chunks.at(-2)!.type, 'text-end')
    t.equal(textOf(chunks), 'so far')
  })

  t.test('a message that is refused ends its stream with the reason', async t => {
    const go = gate()
    const { url } = await startAgent(t, () => go.opened, { limits: { runs: 1 } })
    const transport = transportTo(t, url)
    const [going, waiting] = [await transport.sendMessages(sending('1')), await transport.sendMessages(sending('2'))].map(collect)
    const chunks = await all(await transport.sendMessages(sending('3')))
    t.match(chunks, [{ type: 'error', errorText: /^chat_busy: / }])
    go.open()
    await Promise.all([going.ended, waiting.ended])
    t.equal((await all(await transport.sendMessages(sending('next')))).at(-1)!.type, 'finish', 'the connection still works')
  })

  t.test('a connection that is refused ends its stream, and the next may be accepted', async t => {
    let isKnown = false
    const { url } = await startAgent(t, async () => {}, { authenticate: () => isKnown ? { userId: 'ada' } : null })
    const transport = transportTo(t, url)
    t.match(await all(await transport.sendMessages(sending('go'))), [{ type: 'error', errorText: 'unauthenticated: closed with 4401 UNAUTHENTICATED' }])
    await t.rejects(transport.reconnectToStream({ chatId: 'c1' }), { code: 'unauthenticated' })
    isKnown = true
    t.equal((await all(await transport.sendMessages(sending('go')))).at(-1)!.type, 'finish')
  })

  t.test('a transport that is closed ends its streams with an error', async t => {
    const { url, app } = await startAgent(t, run => new Promise<void>(resolve => {
      run.reply().write('text')
      run.signal.addEventListener('abort', () => resolve())
    }))
    const transport = transportTo(t, url)
    const { text, chunks, ended } = collect(await transport.sendMessages(sending('go')))
    await eventually(() => text() === 'text')
    const waiting = collect(await transport.sendMessages(sending('next', { chatId: 'c2' })))
    transport.close()
    await Promise.all([ended, waiting.ended])
    for (const { chunks: [...all] } of [{ chunks }, waiting]) t.strictSame(all.at(-1), { type: 'error', errorText: 'closed: the transport was closed' })
    await eventually(() => app.ws.stats().connections === 0)
  })

  t.test('sendMessages without a WebSocket rejects with a TypeError that names the option', async t => {
    const native = Object.getOwnPropertyDescriptor(globalThis, 'WebSocket')
    Reflect.deleteProperty(globalThis, 'WebSocket')
    t.teardown(() => { if (native !== undefined) Object.defineProperty(globalThis, 'WebSocket', native) })
    const transport = transportTo(t, 'ws://127.0.0.1:1', { WebSocket: undefined })
    await t.rejects(transport.sendMessages(sending('go')), new TypeError('No WebSocket here: pass { WebSocket }'))
  })

  t.test('sendMessages with an invalid chat id rejects with a TypeError', async t => {
    const { url } = await start(t)
    await t.rejects(transportTo(t, url).sendMessages(sending('go', { chatId: 'a b' })), TypeError)
  })
})

t.test('a server that closes during an answer ends the stream as interrupted', async t => {
  const { url, app } = await startAgent(t, run => {
    run.reply().write('so far')
    return new Promise<void>(() => {})
  })
  const { text, chunks, ended } = collect(await transportTo(t, url).sendMessages(sending('go')))
  await eventually(() => text() === 'so far')
  await app.close()
  await ended
  t.strictSame(chunks.at(-1), { type: 'error', errorText: 'interrupted' })
})

t.test('an unused connection is closed, and one that is used is not', async t => {
  const go = gate()
  const { url, app } = await startAgent(t, async run => {
    run.reply().write('text')
    await go.opened
  })
  const transport = transportTo(t, url, { idle: 1 })
  const { chunks, ended } = collect(await transport.sendMessages(sending('go')))
  await eventually(() => textOf(chunks) === 'text')
  const connection = app.ws.connections('ada')[0].id
  t.ok(await transport.reconnectToStream({ chatId: 'c1' }).then(stream => stream!.cancel()) === undefined)
  t.equal(await transport.reconnectToStream({ chatId: 'c2' }), null)
  await eventually(() => app.ws.stats().connections === 1)
  t.equal(app.ws.connections('ada')[0].id, connection)
  go.open()
  await ended
  await eventually(() => app.ws.stats().connections === 0)
  t.equal(await transport.reconnectToStream({ chatId: 'c1' }), null, 'a connection is opened again when it is needed')
})

import assert from 'node:assert'
import { Chat } from '@ai-sdk/react'
import { createUIMessageStreamResponse, DefaultChatTransport, type UIMessage, type UIMessageChunk } from 'ai'
import fc from 'fast-check'
import t from 'tap'
import { WebSocket } from 'ws'
import { messagesOf, streamUI } from '../../lib/adapters/ai-sdk-server.js'
import type { SavedMessage } from '../../lib/index.js'
import { RealtimeChatTransport } from '../../lib/adapters/ai-sdk.js'
import type { WebSocketConstructor } from '../../lib/client/index.js'
import { redisBroker } from '../../lib/redis.js'
import { startAgent } from '../adapters/agent.js'
import { RedisServer, skipRedis } from '../redis-server.js'
import { eventually, gate, within } from '../waiting.js'

type Fixed = Exclude<UIMessageChunk['type'], `data-${string}`>
type ChunkOf<T extends Fixed> = Extract<UIMessageChunk, { type: T }>

/** Stream in the making: open texts and calls by their ids. */
interface Draft {
  texts: string[]
  reasonings: string[]
  calls: Map<string, 'input' | 'called' | 'asked' | 'running'>
  count: number
}

/** Makes chunks of each type: of the whole union, or this does not compile. `undefined`: not possible now. */
const makers: { [T in Fixed]: (draft: Draft, n: number) => ChunkOf<T> | undefined } = {
  start: (_, n) => ({ type: 'start', messageId: 'answer', ...n % 2 && { messageMetadata: { n, list: [n] } } }),
  'message-metadata': (_, n) => ({ type: 'message-metadata', messageMetadata: { [`m${n % 3}`]: { [`k${n % 4}`]: n } } }),
  'text-start': (draft, n) => ({ type: 'text-start', id: begin(draft, draft.texts), ...metadata(n) }),
  'text-delta': ({ texts }, n) => texts.length === 0 ? undefined : { type: 'text-delta', id: pick(texts, n), delta: `${n} 🧵 `, ...metadata(n) },
  'text-end': ({ texts }, n) => texts.length === 0 ? undefined : { type: 'text-end', id: end(texts, n), ...metadata(n) },
  'reasoning-start': (draft, n) => ({ type: 'reasoning-start', id: begin(draft, draft.reasonings), ...metadata(n) }),
  'reasoning-delta': ({ reasonings: open }, n) => open.length === 0 ? undefined : { type: 'reasoning-delta', id: pick(open, n), delta: `${n}?`, ...metadata(n) },
  'reasoning-end': ({ reasonings: open }, n) => open.length === 0 ? undefined : { type: 'reasoning-end', id: end(open, n), ...metadata(n) },
  custom: (_, n) => ({ type: 'custom', kind: 'openai.compaction', ...metadata(n) }),
  'source-url': (_, n) => ({ type: 'source-url', sourceId: `s${n}`, url: `https://a.example/${n}`, ...n % 2 && { title: 'A' }, ...metadata(n) }),
  'source-document': (_, n) => ({ type: 'source-document', sourceId: `s${n}`, mediaType: 'text/plain', title: 'A', ...n % 2 && { filename: 'a.txt' }, ...metadata(n) }),
  file: (_, n) => ({ type: 'file', url: 'data:,a', mediaType: 'text/plain', ...metadata(n) }),
  'reasoning-file': (_, n) => ({ type: 'reasoning-file', url: 'data:,b', mediaType: 'text/plain', ...metadata(n) }),
  'tool-input-start': (draft, n) => ({ type: 'tool-input-start', toolCallId: call(draft, 'input'), toolName: 'tool0', dynamic: false, ...about(n) }),
  'tool-input-delta': ({ calls }, n) => withCall(calls, n, ['input'], toolCallId => ({ type: 'tool-input-delta', toolCallId, inputTextDelta: '{"a":1' })),
  'tool-input-available': (draft, n) => withCall(draft.calls, n, ['input'], toolCallId => {
    draft.calls.set(toolCallId, 'called')
    return { type: 'tool-input-available', toolCallId, toolName: 'tool0', input: { n }, ...about(n) }
  }) ?? { type: 'tool-input-available', toolCallId: call(draft, 'called'), toolName: 'tool1', input: { n }, ...about(n), ...n % 2 && { dynamic: true } },
  'tool-input-error': ({ calls }, n) => withCall(calls, n, ['input'], toolCallId => {
    calls.delete(toolCallId)
    return { type: 'tool-input-error', toolCallId, toolName: 'tool0', input: '{"a', errorText: `no ${n}` }
  }),
  'tool-approval-request': ({ calls }, n) => withCall(calls, n, ['called', 'running'], toolCallId => {
    calls.set(toolCallId, 'asked')
    return { type: 'tool-approval-request', toolCallId, approvalId: `approval ${toolCallId}`, ...n % 2 && { isAutomatic: true } }
  }),
  'tool-approval-response': ({ calls }, n) => withCall(calls, n, ['asked'], toolCallId =>
    ({ type: 'tool-approval-response', approvalId: `approval ${toolCallId}`, approved: n % 2 === 0, reason: `because ${n}` })),
  'tool-output-available': ({ calls }, n) => withCall(calls, n, ['called', 'asked', 'running'], toolCallId => {
    const preliminary = n % 3 !== 0
    if (preliminary) calls.set(toolCallId, 'running')
    else calls.delete(toolCallId)
    return { type: 'tool-output-available', toolCallId, output: { n }, ...preliminary && { preliminary }, ...metadata(n) }
  }),
  'tool-output-error': ({ calls }, n) => withCall(calls, n, ['called', 'asked', 'running'], toolCallId => {
    calls.delete(toolCallId)
    return { type: 'tool-output-error', toolCallId, errorText: `no ${n}`, ...metadata(n) }
  }),
  'tool-output-denied': ({ calls }, n) => withCall(calls, n, ['asked'], toolCallId => {
    calls.delete(toolCallId)
    return { type: 'tool-output-denied', toolCallId }
  }),
  'steering-message': (_, n) => ({ type: 'steering-message', id: `steer${n}`, parts: [{ type: 'text', text: 'faster' }] }),
  'start-step': () => ({ type: 'start-step' }),
  'finish-step': draft => {
    Object.assign(draft, { texts: [], reasonings: [] })
    return { type: 'finish-step' }
  },
  'reset-step': draft => {
    Object.assign(draft, { texts: [], reasonings: [], calls: new Map() })
    return { type: 'reset-step' }
  },
  // These end a stream, and are appended to it.
  finish: () => undefined,
  error: () => undefined,
  abort: () => undefined
}

const metadata = (n: number) => n % 4 === 0 ? { providerMetadata: { test: { n } } } : {}
const about = (n: number) => ({ ...metadata(n), ...n % 3 === 0 && { title: 'Title' }, ...n % 5 === 0 && { providerExecuted: true }, ...n % 7 === 0 && { toolMetadata: { n } } })
const pick = <T>(from: T[], n: number) => from[n % from.length]
const end = (from: string[], n: number) => from.splice(n % from.length, 1)[0]
function begin (draft: Draft, open: string[]): string {
  const id = `${++draft.count}`
  open.push(id)
  return id
}
/** Adds a call. Its id may be that which the server gives to another part. */
function call (draft: Draft, state: 'input' | 'called'): string {
  const id = `${++draft.count}`
  draft.calls.set(id, state)
  return id
}
function withCall<T> (calls: Draft['calls'], n: number, states: string[], make: (id: string) => T): T | undefined {
  const ids = [...calls].filter(([, state]) => states.includes(state)).map(([id]) => id)
  return ids.length === 0 ? undefined : make(pick(ids, n))
}

/** Types that `ai` 6 does not know: `ai-sdk-6.test.ts` runs this file with it. */
const since7: Fixed[] = ['custom', 'reasoning-file', 'tool-approval-response', 'steering-message', 'reset-step']
const is6 = process.env.AI_SDK === '6'
const types = (Object.keys(makers) as Fixed[]).filter(type => !is6 || !since7.includes(type))

const ends = {
  finish: { type: 'finish', finishReason: 'length', messageMetadata: { done: true } },
  error: { type: 'error', errorText: 'No.' },
  abort: { type: 'abort', reason: 'too slow' }
} satisfies Record<string, UIMessageChunk>

/** Random streams. `last`: how the stream ends. */
const streams = fc.tuple(fc.array(fc.tuple(fc.constantFrom(...types, 'data' as const, 'text-delta' as const), fc.nat(100)), { minLength: 5, maxLength: 60 }), fc.constantFrom('finish', 'error', 'abort'))
  .map(([steps, last]) => {
    const draft: Draft = { texts: [], reasonings: [], calls: new Map(), count: 0 }
    const chunks: UIMessageChunk[] = [makers.start(draft, 1)!]
    for (const [type, n] of steps) {
      const chunk: UIMessageChunk | undefined = type === 'data'
        ? { type: `data-d${n % 2}`, data: { n }, ...n % 3 && { id: `${n % 3}` }, ...n % 5 === 0 && { transient: true } }
        : makers[type](draft, n)
      if (chunk !== undefined && (chunk.type !== 'start' || n % 5 === 0)) chunks.push(chunk)
    }
    // The AI SDK shows an empty step only with the next change.
    chunks.push(...[{ type: 'text-start', id: 'last' }, { type: 'text-delta', id: 'last', delta: 'Bye' }] satisfies UIMessageChunk[])
    chunks.push(ends[last as keyof typeof ends])
    return chunks
  })

const start: UIMessageChunk = { type: 'start', messageId: 'answer', messageMetadata: { n: 1 } }
const last: UIMessageChunk[] = [{ type: 'text-start', id: 'last' }, { type: 'text-delta', id: 'last', delta: 'Bye' }, { type: 'finish', finishReason: 'stop' }]

/** Streams that random ones contain seldom. */
const rare = ([
  // The arguments of two calls begin before any of them is published.
  [
    start, { type: 'tool-input-start', toolCallId: 'a', toolName: 'tool0' }, { type: 'tool-input-start', toolCallId: 'b', toolName: 'tool0' },
    { type: 'tool-input-available', toolCallId: 'a', toolName: 'tool0', input: {} }, ...last
  ],
  // A step is removed while its texts and calls are open.
  [
    start, { type: 'text-start', id: '1' }, { type: 'tool-input-available', toolCallId: 'a', toolName: 'tool0', input: {} },
    { type: 'tool-approval-request', toolCallId: 'a', approvalId: 'approve a', isAutomatic: true },
    { type: 'text-delta', id: '1', delta: 'No', providerMetadata: { test: { n: 1 } } }, { type: 'reset-step' },
    { type: 'tool-input-available', toolCallId: 'b', toolName: 'tool0', input: {} },
    { type: 'message-metadata', messageMetadata: { later: true } }, ...last
  ],
  // An approval is requested of a tool that has preliminary output, and denied.
  [
    start, { type: 'tool-input-available', toolCallId: 'a', toolName: 'tool0', input: {} },
    { type: 'tool-output-available', toolCallId: 'a', output: 1, preliminary: true, providerMetadata: { test: { n: 1 } } },
    { type: 'tool-approval-request', toolCallId: 'a', approvalId: 'approve a', isAutomatic: true },
    { type: 'tool-approval-response', approvalId: 'approve a', approved: false }, { type: 'tool-output-denied', toolCallId: 'a' }, ...last
  ],
  // The arguments of a call go on in the next step.
  [
    start, { type: 'start-step' }, { type: 'tool-input-start', toolCallId: 'a', toolName: 'tool0' }, { type: 'tool-input-delta', toolCallId: 'a', inputTextDelta: '{"a"' },
    { type: 'finish-step' }, { type: 'start-step' }, { type: 'tool-input-delta', toolCallId: 'a', inputTextDelta: ':1}' },
    { type: 'tool-input-available', toolCallId: 'a', toolName: 'tool0', input: { a: 1 } }, { type: 'tool-output-available', toolCallId: 'a', output: 1 }, ...last
  ],
  // Metadata comes with the last piece of a text that its model leaves open.
  [
    start, { type: 'text-start', id: '1' }, { type: 'source-url', sourceId: 's', url: 'https://a.example' }, { type: 'text-delta', id: '1', delta: 'a' },
    { type: 'text-delta', id: '1', delta: 'b', providerMetadata: { test: { n: 1 } } }, ...last
  ]
] satisfies UIMessageChunk[][] as UIMessageChunk[][]).filter(chunks => chunks.every(({ type }) => (types as string[]).includes(type)))

class Socket extends WebSocket {
  constructor (url: string, protocols?: string[]) {
    super(url, protocols, { closeTimeout: 100 } as object)
  }
}

const json = (messages: UIMessage[]) => JSON.parse(JSON.stringify(messages.map(message => message.role === 'assistant' ? { ...message, id: 'answer' } : message)))
const settled = (chat: Chat<UIMessage>) => eventually(() => chat.status === 'ready' || chat.status === 'error')

/** What the AI SDK's own transport ends with. */
async function expected (chunks: UIMessageChunk[]): Promise<UIMessage[]> {
  const stream = new ReadableStream<UIMessageChunk>({
    start (controller) {
      for (const chunk of chunks) controller.enqueue(chunk)
      controller.close()
    }
  })
  const transport = new DefaultChatTransport({ fetch: async () => createUIMessageStreamResponse({ stream }) })
  const chat = new Chat<UIMessage>({ id: 'c', transport, messages: [], generateId: () => 'id', onError: () => {} })
  await chat.sendMessage({ text: 'go' })
  await settled(chat)
  return json(chat.messages)
}

/** A server whose runs stream the chunks of `play`: those before `hold` at once, the others when it opens. */
async function startPlayer (t: Parameters<typeof startAgent>[0], options = {}) {
  const play = { chunks: [] as UIMessageChunk[], at: 0, hold: gate() }
  const server = await startAgent(t, run => {
    const { chunks, at, hold } = play
    return streamUI(run, new ReadableStream<UIMessageChunk>({
      async start (controller) {
        for (const chunk of chunks.slice(0, at)) controller.enqueue(chunk)
        await hold.opened
        for (const chunk of chunks.slice(at)) controller.enqueue(chunk)
        controller.close()
      }
    }))
  }, options)
  return { ...server, play }
}

/** `next`: node of the connections after the first one. */
function chatOf (t: Scope, url: string, id: string, messages: UIMessage[] = [], sends = () => false, next = url) {
  let connections = 0
  const WebSocket = class extends Socket {
    constructor (address: string, protocols?: string[]) {
      super(connections++ === 0 ? address : address.replace(url, next), protocols)
    }
  }
  const transport = new RealtimeChatTransport({
    baseUrl: `${url}/ws`, workflow: 'w', appId: 'a', userId: 'ada', WebSocket: WebSocket as WebSocketConstructor, backoff: () => 0, idle: 0, onError: () => {}
  })
  t.teardown(() => transport.close())
  return new Chat<UIMessage>({ id, transport, messages, generateId: () => 'id', onError: () => {}, sendAutomaticallyWhen: ({ messages }) => sends() && isAnswered(messages) })
}

/** Whether a tool waits for its approval to be sent. */
const isAnswered = (messages: UIMessage[]) => messages.at(-1)!.parts.some(part => 'state' in part && part.state === 'approval-responded')

let count = 0
// A failed stream is not shrunk: that would run thousands of streams. Its seed and path are in the error.
const isFull = process.env.FULL === '1'
const runs = { numRuns: Number(process.env.RUNS ?? (isFull ? 500 : 25)), endOnFailure: true }
const isShown = (chat: Chat<UIMessage>) => chat.messages.length === 2 || chat.status === 'error'

t.comment(import.meta.resolve('ai'))

t.test("useChat ends with the same messages as over the AI SDK's own transport", async t => {
  const server = await startPlayer(t)
  await fc.assert(fc.asyncProperty(streams, async chunks => {
    Object.assign(server.play, { chunks, at: chunks.length, hold: gate() })
    server.play.hold.open()
    const chat = chatOf(t, server.url, `c${++count}`)
    await within(chat.sendMessage({ text: 'go' }), 'the end of the answer')
    await settled(chat)
    assert.deepStrictEqual(json(chat.messages), await expected(chunks))
  }), { ...runs, examples: rare.map(chunks => [chunks]) })
})

t.test('messagesOf makes the same messages of what is saved', async t => {
  const saved: SavedMessage[] = []
  const server = await startPlayer(t, { chat: { save: (message: SavedMessage) => { saved.push(JSON.parse(JSON.stringify(message))) } } })
  await fc.assert(fc.asyncProperty(streams.filter(chunks => chunks.at(-1)!.type === 'finish'), async chunks => {
    saved.length = 0
    Object.assign(server.play, { chunks, at: chunks.length, hold: gate() })
    server.play.hold.open()
    const chat = chatOf(t, server.url, `c${++count}`)
    await within(chat.sendMessage({ text: 'go' }), 'the end of the answer')
    await eventually(() => saved.length === 2)
    assert.deepStrictEqual(json(await messagesOf(saved)), await expected(chunks))
  }), { ...runs, examples: rare.map(chunks => [chunks]) })
})

type Scope = Parameters<typeof startAgent>[0]
type Player = Awaited<ReturnType<typeof startPlayer>>

/** Plays a stream to a device at `server` that is cut before the chunk `at`, and to one at `other` that joins there. */
async function checkCut (t: Scope, server: Player, other: Player, chunks: UIMessageChunk[], at: number) {
  Object.assign(server.play, { chunks, at, hold: gate() })
  const id = `c${++count}`
  const chat = chatOf(t, server.url, id, [], undefined, other.url)
  const sent = chat.sendMessage({ text: 'go' })
  await eventually(() => isShown(chat))
  const late = chatOf(t, other.url, id, chat.messages.slice(0, 1))
  const resumed = late.resumeStream()
  await eventually(() => isShown(late))
  for (const { cut } of new Set([server, other])) cut()
  server.play.hold.open()
  await within(Promise.all([sent, resumed]), 'the end of the answer on both devices')
  await Promise.all([settled(chat), settled(late)])
  const wanted = await expected(chunks)
  for (const each of [chat, late]) assert.deepStrictEqual(json(each.messages), wanted)
}

t.test('also when the connection is cut at any chunk, and on a second device that joins there', async t => {
  const server = await startPlayer(t)
  await fc.assert(fc.asyncProperty(streams, fc.nat(100), async (chunks, n) => {
    await checkCut(t, server, server, chunks, 1 + n % (chunks.length - 1))
  }), { ...runs, examples: rare.flatMap(chunks => [[chunks, 1], [chunks, 2], [chunks, 4]]) })
})

t.test('also with Redis, where the second device and the reconnect are on another node', { skip: skipRedis }, async t => {
  const redis = await RedisServer.start(t)
  const startNode = () => startPlayer(t, { broker: redisBroker({ url: redis.url }) })
  const nodes = [await startNode(), await startNode()] as const
  await fc.assert(fc.asyncProperty(streams, fc.nat(100), fc.boolean(), async (chunks, n, isFirst) => {
    const [server, other] = isFirst ? nodes : [nodes[1], nodes[0]]
    await checkCut(t, server, other, chunks, 1 + n % (chunks.length - 1))
  }), { ...runs, examples: rare.map(chunks => [chunks, 2, true]) })
})

t.test('a tool that needs an approval runs once the user has approved it, also after a reload', async t => {
  let calls = 0
  const { url, runs } = await startAgent(t, run => streamUI(run, () => {
    const chunks: UIMessageChunk[] = ++calls === 1
      ? [
          { type: 'start' }, { type: 'start-step' }, { type: 'tool-input-available', toolCallId: 'c', toolName: 'pay', input: { sum: 5 } },
          { type: 'tool-approval-request', toolCallId: 'c', approvalId: 'a' }, { type: 'finish-step' }, { type: 'finish' }
        ]
      : [
          { type: 'start' }, { type: 'tool-output-available', toolCallId: 'c', output: 'paid' }, { type: 'start-step' },
          { type: 'text-start', id: 't' }, { type: 'text-delta', id: 't', delta: 'Paid.' }, { type: 'text-end', id: 't' }, { type: 'finish' }
        ]
    return new ReadableStream<UIMessageChunk>({
      start (controller) {
        for (const chunk of chunks) controller.enqueue(chunk)
        controller.close()
      }
    })
  }))
  const first = chatOf(t, url, 'approval')
  await first.sendMessage({ text: 'Pay.' })
  await settled(first)
  t.equal(first.error, undefined)
  t.match(first.messages[1].parts.at(-1), { type: 'tool-pay', state: 'approval-requested' })
  const page = chatOf(t, url, 'approval', first.messages.slice(0, 1), () => true)
  await page.resumeStream()
  await settled(page)
  await page.addToolApprovalResponse({ id: 'a', approved: true })
  await eventually(() => page.status === 'ready' && calls === 2)
  t.match(json(page.messages)[1].parts, [
    { type: 'step-start' }, { type: 'tool-pay', state: 'output-available', output: 'paid', approval: { id: 'a', approved: true } },
    { type: 'step-start' }, { type: 'text', text: 'Paid.' }
  ])
  t.equal(json(page.messages)[1].parts.length, 4)
  t.equal(await runs[0].finished, 'complete')
})

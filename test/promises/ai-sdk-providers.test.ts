import { Chat } from '@ai-sdk/react'
import { APICallError, streamText, type UIMessage } from 'ai'
import { MockLanguageModelV4 } from 'ai/test'
import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import { streamUI } from '../../lib/adapters/ai-sdk-server.js'
import { RealtimeChatTransport } from '../../lib/adapters/ai-sdk.js'
import type { WebSocketConstructor } from '../../lib/client/index.js'
import type { Run } from '../../lib/index.js'
import { startAgent } from '../adapters/agent.js'
import { logSink } from '../log-sink.js'
import { eventually, within } from '../waiting.js'

type Part = Record<string, unknown>

const start = { type: 'stream-start', warnings: [] }
const tokens = { total: 1 }
const finish = { type: 'finish', finishReason: { unified: 'stop', raw: 'stop' }, usage: { inputTokens: tokens, outputTokens: tokens } }
const text = (delta: string): Part[] => [{ type: 'text-start', id: '1' }, { type: 'text-delta', id: '1', delta }]
const whole = (delta: string) => [start, ...text(delta), { type: 'text-end', id: '1' }, finish]

/** How the stream of the model ends after its parts. */
type End = 'close' | 'hang' | Error

function streamOf (parts: Part[], end: End, signal?: AbortSignal): ReadableStream<any> {
  return new ReadableStream({
    start (controller) {
      for (const part of parts) controller.enqueue(part)
      if (end === 'close') controller.close()
      signal?.addEventListener('abort', () => controller.error(signal.reason))
    },
    // Parts that were enqueued before an error would be lost with it.
    pull (controller) { if (end instanceof Error) controller.error(end) }
  }, { highWaterMark: 0 })
}

const refused = (statusCode: number) => new APICallError({
  message: `refused with ${statusCode}`, url: 'https://model.example', requestBodyValues: { prompt: 'secret prompt' }, statusCode, responseHeaders: { 'retry-after-ms': '1' }
})

/** A scripted model. `calls`: what each call does; the last one repeats. */
function modelOf (...calls: Array<Error | { parts: Part[], end: End }>) {
  let count = 0
  const model = new MockLanguageModelV4({
    doStream: async ({ abortSignal }: { abortSignal?: AbortSignal }) => {
      const call = calls[Math.min(count++, calls.length - 1)]
      if (call instanceof Error) throw call
      return { stream: streamOf(call.parts, call.end, abortSignal) }
    }
  })
  return { model, count: () => count }
}

class Socket extends WebSocket {
  constructor (url: string, protocols?: string[]) {
    super(url, protocols, { closeTimeout: 100 } as object)
  }
}

function chatOf (t: Test, url: string, id: string) {
  const transport = new RealtimeChatTransport({
    baseUrl: `${url}/ws`, workflow: 'w', appId: 'a', userId: 'ada', WebSocket: Socket as WebSocketConstructor, backoff: () => 0, idle: 0, onError: () => {}
  })
  t.teardown(() => transport.close())
  return new Chat<UIMessage>({ id, transport, messages: [], onError: () => {} })
}

const textsOf = (chat: Chat<UIMessage>) =>
  chat.messages.filter(({ role }) => role === 'assistant').flatMap(({ parts }) => parts.flatMap(part => part.type === 'text' ? [part.text] : []))

/** Settings of `streamText`, and how the model fails. */
interface Failure {
  name: string
  calls: Parameters<typeof modelOf>
  settings?: { maxRetries?: number }
  /** Limit of the app, in ms. */
  timeout?: number
  /** Number of calls of the model. */
  expected?: number
  texts: string[]
  cause: string
}

const failures: Failure[] = [
  { name: 'answers 401', calls: [refused(401)], texts: [], cause: 'refused with 401' },
  { name: 'answers 429 without retries', calls: [refused(429)], settings: { maxRetries: 0 }, texts: [], cause: 'refused with 429' },
  { name: 'answers 429 to each retry', calls: [refused(429)], settings: { maxRetries: 1 }, expected: 2, texts: [], cause: 'refused with 429' },
  { name: 'breaks in the middle', calls: [{ parts: [start, ...text('so far')], end: new Error('connection lost') }], texts: ['so far'], cause: 'connection lost' },
  { name: 'reports an error', calls: [{ parts: [start, ...text('so far'), { type: 'error', error: new Error('overloaded') }], end: 'close' }], texts: ['so far'], cause: 'overloaded' },
  { name: 'hangs before its first chunk', calls: [{ parts: [], end: 'hang' }], timeout: 20, texts: [], cause: 'aborted' },
  { name: 'hangs in the middle', calls: [{ parts: [start, ...text('so far')], end: 'hang' }], timeout: 50, texts: ['so far'], cause: 'aborted' },
  { name: 'sends nothing', calls: [{ parts: [], end: 'close' }], texts: [], cause: 'No output generated' },
  { name: 'finishes without an answer', calls: [{ parts: [start, finish], end: 'close' }], texts: [], cause: 'nothing' }
]

const ways = {
  streamUI: (run: Run, call: () => any) => streamUI(run, call),
  'run.stream': (run: Run, call: () => any) => run.stream(call())
}

for (const [way, answer] of Object.entries(ways)) {
  t.test(`${way}: a model that fails ends its run as error, with the text so far, and nobody else's`, async t => {
    for (const { name, calls, settings, timeout, expected = 1, texts, cause } of failures) {
      const { lines, options } = logSink()
      const failing = modelOf(...calls)
      const fine = modelOf({ parts: whole('Hello.'), end: 'close' })
      const { url, runs } = await startAgent(t, run => {
        const { model } = run.target.chatId === 'failing' ? failing : fine
        const abortSignal = timeout === undefined ? run.signal : AbortSignal.any([run.signal, AbortSignal.timeout(timeout)])
        return answer(run, () => streamText({ model, prompt: 'secret prompt', abortSignal, onError: () => {}, ...settings } as any))
      }, {}, { logger: options })
      const [chat, other] = [chatOf(t, url, 'failing'), chatOf(t, url, 'other')]
      await within(Promise.all([chat.sendMessage({ text: 'Hi' }), other.sendMessage({ text: 'Hi' })]), name)
      t.equal(await runs.find(({ target }) => target.chatId === 'failing')!.finished, 'error', name)
      t.match(chat.error?.message, 'answer_failed: The model could not finish this answer', name)
      t.strictSame([textsOf(chat), failing.count()], [texts, expected], name)
      t.strictSame([textsOf(other), other.status, other.error], [['Hello.'], 'ready', undefined], `${name}: another chat`)
      const logged = lines.filter(line => line.includes('a run failed'))
      t.equal(logged.length, 1, name)
      t.match(logged[0], cause, name)
      t.notMatch(lines.join(), 'secret prompt', `${name}: the prompt is not logged`)
    }
  })
}

t.test('a model that answers 429 once gets a second request, and the run is complete', async t => {
  const { model, count } = modelOf(refused(429), { parts: whole('Hello.'), end: 'close' })
  const { url, runs } = await startAgent(t, run => streamUI(run, () => streamText({ model, prompt: 'p', abortSignal: run.signal, maxRetries: 1 })))
  const chat = chatOf(t, url, 'c')
  await chat.sendMessage({ text: 'Hi' })
  t.strictSame([textsOf(chat), chat.error, count(), await runs[0].finished], [['Hello.'], undefined, 2, 'complete'])
})

t.test('stop ends a model that hangs, and the next message is answered', async t => {
  const { model, count } = modelOf({ parts: [start, ...text('so far')], end: 'hang' }, { parts: whole('Hello.'), end: 'close' })
  const { url, runs } = await startAgent(t, run => streamUI(run, () => streamText({ model, prompt: 'p', abortSignal: run.signal })))
  const chat = chatOf(t, url, 'c')
  const sent = chat.sendMessage({ text: 'Hi' })
  await eventually(() => textsOf(chat).includes('so far'))
  await chat.stop()
  await within(sent, 'the end of the answer')
  t.equal(await within(runs[0].finished, 'the end of the run'), 'cancelled')
  await chat.sendMessage({ text: 'Again' })
  t.strictSame([textsOf(chat), chat.status, count()], [['so far', 'Hello.'], 'ready', 2])
})

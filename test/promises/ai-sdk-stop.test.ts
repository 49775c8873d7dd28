import { Chat as AiChat } from '@ai-sdk/react'
import { jsonSchema, streamText, tool, type UIMessage } from 'ai'
import { MockLanguageModelV4 } from 'ai/test'
import { createElement } from 'react'
import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import { streamUI } from '../../lib/adapters/ai-sdk-server.js'
import { RealtimeChatTransport } from '../../lib/adapters/ai-sdk.js'
import { createChat } from '../../lib/client/chat/index.js'
import type { WebSocketConstructor } from '../../lib/client/index.js'
import { RealtimeProvider, useChat } from '../../lib/react/index.js'
import { startAgent } from '../adapters/agent.js'
import { connect } from '../harness.js'
import { mount } from '../react/render.js'
import { eventually, gate, within } from '../waiting.js'
import { found } from '../every.js'

type Part = Record<string, unknown>

const start = { type: 'stream-start', warnings: [] }
const usage = { inputTokens: { total: 1 }, outputTokens: { total: 1 } }
const finish = (reason: string) => ({ type: 'finish', finishReason: { unified: reason, raw: reason }, usage })
const call = (toolName: string) => ({ type: 'tool-call', toolCallId: 'c', toolName, input: '{}' })
const answer = [start, { type: 'text-start', id: '1' }, { type: 'text-delta', id: '1', delta: 'Hello.' }, { type: 'text-end', id: '1' }, finish('stop')]

/** What the model sends before `stop`, and a text of a publication that shows that it has come so far. */
interface Phase {
  parts: Part[]
  sign: string
  /** Part that stays open in `useChat`: as with any transport, its stream has ended so that the user can answer. */
  left?: string
}

const phases: Record<string, Phase> = {
  'before the first chunk': { parts: [], sign: 'run_started' },
  'in a reasoning': { parts: [start, { type: 'reasoning-start', id: '1' }, { type: 'reasoning-delta', id: '1', delta: 'Hmm' }], sign: 'Hmm' },
  'in a text': { parts: [start, { type: 'text-start', id: '1' }, { type: 'text-delta', id: '1', delta: 'So far' }], sign: 'So far' },
  'in the arguments of a tool': { parts: [start, { type: 'tool-input-start', id: 'c', toolName: 'pay' }, { type: 'tool-input-delta', id: 'c', delta: '{"sum' }], sign: '{\\"sum' },
  'in a running tool': { parts: [start, call('hang'), finish('tool-calls')], sign: 'tool_call' },
  'waiting for an approval': { parts: [start, call('pay'), finish('tool-calls')], sign: 'input_request', left: 'approval-requested' }
}

class Socket extends WebSocket {
  constructor (url: string, protocols?: string[]) {
    super(url, protocols, { closeTimeout: 100 } as object)
  }
}

const place = { workflow: 'w', appId: 'a', userId: 'ada' }
const options = (url: string) => ({ ...place, baseUrl: `${url}/ws`, WebSocket: Socket as WebSocketConstructor, backoff: () => 0 })

function aiChat (t: Test, url: string, id: string) {
  const transport = new RealtimeChatTransport({ ...options(url), idle: 0, onError: () => {} })
  t.teardown(() => transport.close())
  return new AiChat<UIMessage>({ id, transport, messages: [], onError: () => {} })
}

/** Starts a server whose model hangs in a phase for `Hi`, and answers anything else. `order`: what happened, in order. */
async function startPhase (t: Test, { parts }: Phase) {
  const order: string[] = []
  const executed: string[] = []
  const model = (isFirst: boolean) => new MockLanguageModelV4({
    doStream: async ({ abortSignal }: { abortSignal?: AbortSignal }): Promise<any> => ({
      stream: new ReadableStream({
        start (controller) {
          for (const part of isFirst ? parts : answer) controller.enqueue(part)
          if (!isFirst || parts.at(-1)?.type === 'finish') return controller.close()
          abortSignal?.addEventListener('abort', () => controller.error(abortSignal.reason))
        }
      })
    })
  })
  const run = (name: string, work: () => unknown) => async () => {
    executed.push(name)
    return await work()
  }
  const tools = {
    hang: tool({ inputSchema: jsonSchema({ type: 'object' }), execute: run('hang', () => new Promise(() => {})) }),
    pay: tool({ inputSchema: jsonSchema({ type: 'object' }), needsApproval: true, execute: run('pay', () => 'paid') } as any)
  }
  const server = await startAgent(t, (run, { content }) => {
    run.signal.addEventListener('abort', () => order.push('abort'))
    return streamUI(run, messages => streamText({
      model: model(content === 'Hi'), tools: tools as any, messages: messages.length > 0 ? messages : [{ role: 'user', content }], abortSignal: run.signal
    }))
  }, { onMessage: { probe: () => { order.push('probe') } } })
  return { ...server, order, executed }
}

/** States of items of our clients that wait for something. */
const waiting = ['pending', 'queued', 'streaming', 'running', 'open']

/** States of parts of the AI SDK that wait for something. */
const pending = ['streaming', 'input-streaming', 'input-available', 'approval-requested', 'approval-responded']
const pendingOf = ({ messages }: AiChat<UIMessage>) =>
  messages.flatMap(({ parts }) => parts.flatMap(part => 'state' in part && pending.includes(String(part.state)) ? [part.state] : []))

for (const [name, phase] of Object.entries(phases)) {
  t.test(`stop ${name} aborts the model at once, no part stays pending, and the next message is answered`, async t => {
    const { url, runs, order, executed } = await startPhase(t, phase)
    const sdk = aiChat(t, url, 'c')
    const page = createChat({ ...options(url), chatId: 'c' })
    t.teardown(() => page.end())
    const raw = await connect(t, `${url}/ws/w/a/c/ada`)
    const sent = sdk.sendMessage({ text: 'Hi' })
    await eventually(() => JSON.stringify(raw.received).includes(phase.sign))
    // Both frames are in one turn: the model stops before the second one is handled.
    raw.send({ type: 'chat_cancel', ref: 'stop' })
    raw.send({ type: 'probe', ref: 'probe' })
    t.match(await raw.next('run_finished'), { data: { status: 'cancelled' } })
    await raw.until(() => order.includes('probe'))
    t.strictSame(order, ['abort', 'probe'])
    await within(sent, 'the end of the stream')
    t.strictSame(pendingOf(sdk), [phase.left ?? []].flat(), 'useChat')
    await eventually(() => page.items.length > 0 && page.status === 'ready')
    const statuses = [...page.items, ...page.messages, ...page.messages.flatMap(({ parts }) => parts)].map(item => 'status' in item ? item.status : undefined)
    t.strictSame(found(statuses, status => waiting.includes(String(status))), [], 'the client')
    t.equal(await runs[0].finished, 'cancelled')

    await within(sdk.sendMessage({ text: 'Again' }), 'the next answer')
    t.match(sdk.messages.at(-1)!.parts.at(-1), { type: 'text', text: 'Hello.', state: 'done' })
    t.strictSame(executed, name === 'in a running tool' ? ['hang'] : [], 'the tool of an approval that is cancelled does not run')
  })
}

for (const [name, phase] of Object.entries(phases)) {
  t.test(`stop of our own useChat ${name} aborts the model, no item stays pending, and the next message is answered`, async t => {
    const { url, runs, order, executed } = await startPhase(t, phase)
    const { workflow, appId, ...connection } = options(url)
    let chat = { status: 'idle' } as ReturnType<typeof useChat>
    mount(t, createElement(RealtimeProvider, connection, createElement(function Page () {
      chat = useChat({ workflow, appId, chatId: 'c' })
      return null
    })))
    await eventually(() => chat.status === 'ready')
    const raw = await connect(t, `${url}/ws/w/a/c/ada`)
    await chat.send('Hi')
    await eventually(() => JSON.stringify(raw.received).includes(phase.sign))
    await chat.stop()
    t.equal(await runs[0].finished, 'cancelled')
    t.strictSame(order, ['abort'])
    await eventually(() => chat.status === 'ready')
    const shown = [...chat.items, ...chat.messages, ...chat.messages.flatMap(({ parts }) => parts)]
    t.strictSame(found(shown, item => 'status' in item && waiting.includes(String(item.status))), [])

    await chat.send('Again')
    await eventually(() => chat.messages.at(-1)?.text === 'Hello.' && chat.status === 'ready')
    t.strictSame(executed, name === 'in a running tool' ? ['hang'] : [])
  })
}

t.test('stop of a queued run: its model is never asked, and the run before it goes on', async t => {
  const go = gate()
  const asked: string[] = []
  const { url, runs } = await startAgent(t, async (run, { content }) => {
    asked.push(content)
    if (content === 'first') await go.opened
    await run.stream((async function * () { yield `answer to ${content}` })())
  })
  const first = aiChat(t, url, 'c')
  const second = aiChat(t, url, 'c')
  const answered = first.sendMessage({ text: 'first' })
  await eventually(() => asked.length === 1)
  const raw = await connect(t, `${url}/ws/w/a/c/ada`)
  const queued = second.sendMessage({ text: 'second' })
  await raw.next('run_queued')
  await second.stop()
  await within(queued, 'the end of the queued stream')
  t.match(await raw.next('run_finished'), { data: { status: 'cancelled' } })
  t.strictSame(pendingOf(second), [])
  go.open()
  await within(answered, 'the answer to the first')
  await within(second.sendMessage({ text: 'third' }), 'the answer to the third')
  t.strictSame(asked, ['first', 'third'])
  t.equal(await runs[0].finished, 'complete')
  t.match(second.messages.at(-1)!.parts, [{ text: 'answer to third' }])
})

import { Chat as AiChat } from '@ai-sdk/react'
import { jsonSchema, lastAssistantMessageIsCompleteWithApprovalResponses as isAnswered, simulateReadableStream, streamText, tool, type UIMessage } from 'ai'
import { MockLanguageModelV4 } from 'ai/test'
import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import { messagesOf, streamUI, type StreamUiOptions } from '../../lib/adapters/ai-sdk-server.js'
import { RealtimeChatTransport } from '../../lib/adapters/ai-sdk.js'
import { createChat } from '../../lib/client/chat/index.js'
import type { WebSocketConstructor } from '../../lib/client/index.js'
import { tokenOf, type RealtimeOptions, type SavedMessage } from '../../lib/index.js'
import { startAgent } from '../adapters/agent.js'
import { connect } from '../harness.js'
import { eventually, within } from '../waiting.js'
import { found } from '../every.js'

const start = { type: 'stream-start', warnings: [] }
const usage = { inputTokens: { total: 1 }, outputTokens: { total: 1 } }
const finish = (reason: string) => ({ type: 'finish', finishReason: { unified: reason, raw: reason }, usage })

/** Model that calls the tool `pay`, and then says whether it has paid. */
const model = () => new MockLanguageModelV4({
  doStream: async ({ prompt }: { prompt: Array<{ role: string, content: unknown }> }): Promise<any> => {
    const result = prompt.at(-1)!.role === 'tool' ? JSON.stringify(prompt.at(-1)!.content) : undefined
    const text = result?.includes('"paid"') ? 'Paid.' : 'Not paid.'
    const parts = result === undefined
      ? [{ type: 'tool-call', toolCallId: 'c', toolName: 'pay', input: '{"sum":5}' }, finish('tool-calls')]
      : [{ type: 'text-start', id: '1' }, { type: 'text-delta', id: '1', delta: text }, { type: 'text-end', id: '1' }, finish('stop')]
    return { stream: simulateReadableStream({ chunks: [start, ...parts], initialDelayInMs: null, chunkDelayInMs: null }) }
  }
})

class Socket extends WebSocket {
  constructor (url: string, protocols?: string[]) {
    super(url, protocols, { closeTimeout: 100 } as object)
  }
}

const place = { workflow: 'w', appId: 'a', userId: 'ada' }
const options = (url: string) => ({ ...place, baseUrl: `${url}/ws`, WebSocket: Socket as WebSocketConstructor, backoff: () => 0 })

/** A device: a page with the AI SDK's hook, which the user may leave. */
function device (t: Test, url: string, messages: UIMessage[] = [], getToken?: () => string) {
  const transport = new RealtimeChatTransport({ ...options(url), idle: 0, onError: () => {}, getToken })
  t.teardown(() => transport.close())
  const chat = new AiChat<UIMessage>({ id: 'c', transport, messages, onError: () => {}, sendAutomaticallyWhen: isAnswered })
  return Object.assign(chat, { leave: () => transport.close() })
}
type Device = ReturnType<typeof device>

const stateOf = ({ messages }: Device) => (messages.at(-1)?.parts.find(({ type }) => type === 'tool-pay') as { state?: string } | undefined)?.state
const textOf = ({ messages }: Device) => messages.at(-1)?.parts.flatMap(part => part.type === 'text' ? part.text : []).join()
const isPending = (state = '') => ['input-streaming', 'input-available', 'approval-requested', 'approval-responded'].includes(state)
const approve = ({ messages, addToolApprovalResponse }: Device, approved: boolean) => {
  const { approval } = messages.at(-1)!.parts.find(({ type }) => type === 'tool-pay') as { approval: { id: string } }
  return addToolApprovalResponse({ id: approval.id, approved })
}

/** Starts a server whose model wants to pay, and a device that was asked for the approval. */
async function startAsking (t: Test, streaming: StreamUiOptions = {}, more: RealtimeOptions = {}) {
  const saved: SavedMessage[] = []
  let executions = 0
  const pay = tool({
    inputSchema: jsonSchema({ type: 'object' }),
    needsApproval: true,
    execute: () => {
      executions++
      return 'paid'
    }
  } as any)
  const server = await startAgent(t, (run, { content }) => streamUI(run, messages => streamText({
    model: model(), tools: { pay } as any, messages: [{ role: 'user', content }, ...messages], abortSignal: run.signal
  }), streaming), { ...more, chat: { save: message => { saved.push(JSON.parse(JSON.stringify(message))) } } })
  const first = device(t, server.url)
  await within(first.sendMessage({ text: 'Pay.' }), 'the pause')
  t.equal(stateOf(first), 'approval-requested')
  /** Opens a page that has loaded what is saved. */
  const reload = async () => {
    const page = device(t, server.url, await messagesOf(saved))
    page.resumeStream()
    await eventually(() => stateOf(page) === 'approval-requested')
    return page
  }
  return { ...server, first, reload, saved, executions: () => executions }
}

type Asking = Awaited<ReturnType<typeof startAsking>>

/** Checks the end of the run: nothing waits in the history or in another client. */
async function checkRest (t: Test, { url, saved, runs, executions }: Asking, outcome: string, times: number) {
  t.equal(await runs[0].finished, outcome)
  t.equal(runs.length, 1, 'there is one run')
  t.equal(executions(), times, 'executions of the tool')
  await eventually(() => saved.length === 2)
  const [, { parts }] = await messagesOf(saved)
  t.strictSame(found(parts, part => 'state' in part && isPending(part.state)), [], 'the history')
  const page = createChat({ ...options(url), chatId: 'c' })
  t.teardown(() => page.end())
  await eventually(() => page.items.length > 0 && page.status === 'ready')
  t.strictSame(found(page.items, item => 'status' in item && ['running', 'open', 'streaming', 'pending'].includes(String(item.status))), [], 'the client')
}

t.test('approved on the same device: the tool runs once', async t => {
  const asking = await startAsking(t)
  await approve(asking.first, true)
  await eventually(() => textOf(asking.first) === 'Paid.')
  t.equal(stateOf(asking.first), 'output-available')
  await checkRest(t, asking, 'complete', 1)
})

t.test('approved on another device after a reload: the tool runs once, and the first device gets the end when its user answers', async t => {
  const asking = await startAsking(t)
  const other = await asking.reload()
  await approve(other, true)
  await eventually(() => textOf(other) === 'Paid.')
  await checkRest(t, asking, 'complete', 1)
  await approve(asking.first, false)
  await eventually(() => textOf(asking.first) === 'Paid.')
  t.equal(stateOf(asking.first), 'output-available')
  t.strictSame([asking.runs.length, asking.executions()], [1, 1])
})

t.test('approved on two devices at once: the tool runs once, and both get the answer', async t => {
  const asking = await startAsking(t)
  const other = await asking.reload()
  await Promise.all([approve(asking.first, true), approve(other, true)])
  await eventually(() => textOf(asking.first) === 'Paid.' && textOf(other) === 'Paid.')
  await checkRest(t, asking, 'complete', 1)
})

t.test('denied: the tool does not run, and the model answers', async t => {
  const asking = await startAsking(t)
  await approve(asking.first, false)
  await eventually(() => textOf(asking.first) === 'Not paid.')
  t.equal(stateOf(asking.first), 'output-denied')
  await checkRest(t, asking, 'complete', 0)
})

t.test('timed out: the tool does not run, and a device that answers later gets the end', async t => {
  // Long enough for the device to show the question first.
  const asking = await startAsking(t, { approvalTimeout: 1_500 })
  await checkRest(t, asking, 'complete', 0)
  await approve(asking.first, true)
  await eventually(() => textOf(asking.first) === 'Not paid.')
  t.equal(stateOf(asking.first), 'output-denied')
  t.strictSame([asking.runs.length, asking.executions()], [1, 0])
})

t.test('cancelled: the tool does not run, and a device that answers later gets the end', async t => {
  const asking = await startAsking(t)
  const raw = await connect(t, `${asking.url}/ws/w/a/c/ada`)
  raw.send({ type: 'chat_cancel', ref: 'stop' })
  await checkRest(t, asking, 'cancelled', 0)
  await approve(asking.first, true)
  await eventually(() => !isPending(stateOf(asking.first)))
  t.match(asking.first.messages.at(-1)!.parts.at(-1), { state: 'output-error', errorText: 'cancelled' })
  t.strictSame([asking.runs.length, asking.executions()], [1, 0])
})

t.test('a new message gives up the approval: its run is cancelled, its tool does not run, and the next run starts', async t => {
  const asking = await startAsking(t)
  const page = await asking.reload()
  await within(page.sendMessage({ text: 'Pay in cash.' }), 'the pause of the next run')
  t.strictSame([page.error, stateOf(page), asking.runs.length], [undefined, 'approval-requested', 2])
  t.equal(await asking.runs[0].finished, 'cancelled')
  // Another device still shows the first question.
  await approve(asking.first, true)
  await eventually(() => !isPending(stateOf(asking.first)))
  t.strictSame([asking.runs.length, asking.executions()], [2, 0])
  await approve(page, true)
  await eventually(() => textOf(page) === 'Paid.')
  t.strictSame([asking.runs.length, asking.executions()], [2, 1])
})

t.test("a new message of another user does not give up the approval of the owner's run", async t => {
  const asking = await startAsking(t, {}, { authenticate: request => ({ userId: tokenOf(request) ?? 'ada' }), authorize: () => true })
  const bob = device(t, asking.url, [], () => 'bob')
  bob.resumeStream()
  await eventually(() => stateOf(bob) === 'approval-requested')
  const raw = await connect(t, `${asking.url}/ws/w/a/c/ada`)
  bob.sendMessage({ text: 'Me too.' })
  t.match(await raw.next('run_queued'), { data: { user_id: 'bob' } })
  await approve(asking.first, true)
  await eventually(() => textOf(asking.first) === 'Paid.')
  await eventually(() => stateOf(bob) === 'approval-requested' && bob.status === 'ready')
  t.strictSame([await asking.runs[0].finished, asking.runs.length, asking.executions()], ['complete', 2, 1])
})

t.test('every device disconnects: the run waits, and the tool runs once when a page that is opened later approves it', async t => {
  const asking = await startAsking(t)
  asking.first.leave()
  await eventually(() => asking.app.ws.stats().connections === 0)
  const page = await asking.reload()
  await approve(page, true)
  await eventually(() => textOf(page) === 'Paid.')
  await checkRest(t, asking, 'complete', 1)
})

import { Chat } from '@ai-sdk/react'
import {
  convertToModelMessages, lastAssistantMessageIsCompleteWithApprovalResponses, lastAssistantMessageIsCompleteWithToolCalls,
  type ModelMessage, type UIMessage, type UIMessageChunk
} from 'ai'
import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import { messagesOf, streamUI } from '../../lib/adapters/ai-sdk-server.js'
import { RealtimeChatTransport } from '../../lib/adapters/ai-sdk.js'
import { createChat } from '../../lib/client/chat/index.js'
import { createClient, type WebSocketConstructor } from '../../lib/client/index.js'
import type { Run, SavedMessage, UserMessage } from '../../lib/index.js'
import { startAgent } from '../adapters/agent.js'
import { FakeLocks } from '../client/fake-locks.js'
import { eventually, within } from '../waiting.js'

Object.defineProperty(globalThis, 'navigator', { configurable: true, value: { locks: new FakeLocks() } })
t.teardown(() => { Reflect.deleteProperty(globalThis, 'navigator') })

class Socket extends WebSocket {
  constructor (url: string, protocols?: string[]) {
    super(url, protocols, { closeTimeout: 100 } as object)
  }
}

const place = { workflow: 'w', appId: 'a' }
const options = (url: string) => ({ baseUrl: `${url}/ws`, userId: 'ada', WebSocket: Socket as WebSocketConstructor, backoff: () => 0, onError: () => {} })

function transportOn (t: Test, url: string, share: boolean) {
  const client = createClient({ ...options(url), share })
  t.teardown(() => client.close())
  return new RealtimeChatTransport({ ...place, client })
}

/** Connections that a transport can have. */
const connections: Record<string, (t: Test, url: string) => RealtimeChatTransport> = {
  'a connection of its own': (_, url) => new RealtimeChatTransport({ ...place, ...options(url) }),
  'the connection of a client': (t, url) => transportOn(t, url, false),
  'a connection that tabs share': (t, url) => transportOn(t, url, true)
}

const streamOf = (chunks: UIMessageChunk[]) => new ReadableStream<UIMessageChunk>({
  start (controller) {
    for (const chunk of chunks) controller.enqueue(chunk)
    controller.close()
  }
})
const text = (delta: string): UIMessageChunk[] =>
  [{ type: 'start-step' }, { type: 'text-start', id: 't' }, { type: 'text-delta', id: 't', delta }, { type: 'text-end', id: 't' }, { type: 'finish-step' }]
const call: UIMessageChunk = { type: 'tool-input-available', toolCallId: 'c', toolName: 'locate', input: {} }
const request: UIMessageChunk = { type: 'tool-approval-request', toolCallId: 'c', approvalId: 'a' }
const output: UIMessageChunk = { type: 'tool-output-available', toolCallId: 'c', output: 'home' }

/** Answers by the text of the user. A message that continues an answer has it as `ui_message`. */
function answer (run: Run, { content, data }: UserMessage): Promise<void> {
  const given = data.ui_message as UIMessage | undefined
  const isContinued = given?.role === 'assistant'
  const options = { messages: isContinued ? [given] : [] }
  if (content === 'tool') return streamUI(run, streamOf(isContinued ? text('At home.') : [{ type: 'start-step' }, call, { type: 'finish-step' }]), options)
  if (content === 'approval, run over') return streamUI(run, streamOf(isContinued ? [output, ...text('At home.')] : [{ type: 'start-step' }, call, request, { type: 'finish-step' }]), options)
  if (content !== 'approval') return streamUI(run, streamOf(text(`answer to ${data.trigger}`)), options)
  return streamUI(run, (messages: ModelMessage[]) =>
    streamOf(messages.at(-1)?.role === 'tool' ? [output, ...text('At home.')] : [{ type: 'start-step' }, call, request, { type: 'finish-step' }]))
}

const isAnswered = (options: { messages: UIMessage[] }) =>
  lastAssistantMessageIsCompleteWithToolCalls(options) || lastAssistantMessageIsCompleteWithApprovalResponses(options)

type Act = (chat: Chat<UIMessage>) => unknown

const addToolOutput: Act = chat => chat.addToolOutput({ tool: 'locate' as never, toolCallId: 'c', output: 'home' as never })
const approve: Act = chat => chat.addToolApprovalResponse({ id: 'a', approved: true })
const regenerate: Act = chat => chat.regenerate()

/** What the user says, what the page does then, and the text of the last answer. */
const cases: Array<{ content: string, act: Act, answer: string, runs: number }> = [
  { content: 'regenerate', act: regenerate, answer: 'answer to regenerate-message', runs: 2 },
  { content: 'continue', act: chat => chat.sendMessage(), answer: 'answer to submit-message', runs: 2 },
  { content: 'tool', act: addToolOutput, answer: 'At home.', runs: 2 },
  { content: 'approval, run over', act: approve, answer: 'At home.', runs: 2 },
  { content: 'approval', act: approve, answer: 'At home.', runs: 1 }
]

const json = (value: unknown) => JSON.parse(JSON.stringify(value))
const lastText = ({ messages }: Chat<UIMessage>) => messages.at(-1)?.parts.flatMap(part => part.type === 'text' ? part.text : []).at(-1)

for (const [connection, connect] of Object.entries(connections)) {
  for (const isReloaded of [false, true]) {
    t.test(`${connection}${isReloaded ? ', page reloaded' : ''}: a repeated message is once in the log, in the history and on a second device`, async t => {
      const saved: SavedMessage[] = []
      const save = (message: SavedMessage, { chatId }: { chatId: string }) => { saved.push({ ...json(message), chatId }) }
      const { url, runs } = await startAgent(t, answer, { chat: { save } })
      const savedOf = (id: string) => saved.filter(message => (message as { chatId?: string }).chatId === id)
      const open = (id: string, messages: UIMessage[] = []) => {
        const transport = connect(t, url)
        t.teardown(() => transport.close())
        return new Chat<UIMessage>({ id, transport, messages, onError: () => {}, sendAutomaticallyWhen: isAnswered })
      }
      for (const [at, { content, act, answer, runs: expected }] of cases.entries()) {
        const id = `c${at}`
        const first = open(id)
        await within(first.sendMessage({ text: content }), content)
        // The run that waits for an approval is not saved yet.
        await eventually(() => savedOf(id).length === (content === 'approval' ? 1 : 2))
        const page = isReloaded ? open(id, await messagesOf(savedOf(id))) : first
        if (isReloaded) await page.resumeStream()
        await act(page)
        await eventually(() => lastText(page) === answer && page.status === 'ready')
        t.strictSame(page.messages.map(({ role }) => role), ['user', 'assistant'], content)
        t.equal(page.error, undefined)
        const ofChat = runs.filter(({ target }) => target.chatId === id)
        t.equal(ofChat.length, expected, `${content}: runs`)
        await eventually(() => savedOf(id).length === 1 + expected)
        t.strictSame(savedOf(id).map(({ role }) => role), ['user', ...Array(expected).fill('assistant')], `${content}: saved`)

        const device = createChat({ ...place, ...options(url), chatId: id })
        t.teardown(() => device.end())
        await eventually(() => device.messages.length === 1 + expected && device.status === 'ready')
        t.strictSame(device.messages.map(({ role }) => role), ['user', ...Array(expected).fill('assistant')], `${content}: second device`)

        // The answer that was replaced is for the app to remove.
        const history = (await messagesOf(savedOf(id))).filter(({ id }) => page.messages.some(message => message.id === id))
        t.strictSame(json(history), json(page.messages), `${content}: the history is what the page shows`)
        t.ok(await convertToModelMessages(history), `${content}: a model takes the history`)
      }
    })
  }
}

t.test('a message that was refused, and is then regenerated twice, is in the log and in the history once', async t => {
  const saved: SavedMessage[] = []
  let isRefusing = true
  const save = (message: SavedMessage) => {
    if (isRefusing) throw new Error('disk full')
    saved.push(JSON.parse(JSON.stringify(message)))
  }
  const { url } = await startAgent(t, answer, { chat: { save } })
  const transport = connections['a connection of its own'](t, url)
  t.teardown(() => transport.close())
  const chat = new Chat<UIMessage>({ id: 'c', transport, onError: () => {} })
  await chat.sendMessage({ text: 'Hi' })
  t.ok(chat.error)
  isRefusing = false
  await chat.regenerate()
  t.equal(chat.error, undefined)
  await chat.regenerate()
  await eventually(() => saved.length === 3)
  t.strictSame(saved.map(({ role }) => role), ['user', 'assistant', 'assistant'])
  t.strictSame((await messagesOf(saved)).map(({ role }) => role), ['user', 'assistant', 'assistant'])
})

t.test('histories with a copy of a message, whose first one did not arrive, show it once', async t => {
  const said = (id: string) => ({ message_id: id, role: 'user', content: 'Hi', repeats: 'x', user_id: 'ada', timestamp: '' }) as unknown as SavedMessage
  t.strictSame((await messagesOf([said('x~1'), said('x~2')])).map(({ id }) => id), ['x~1'])
})

import { Chat } from '@ai-sdk/react'
import { lastAssistantMessageIsCompleteWithApprovalResponses as isAnswered, type ModelMessage, type UIMessage, type UIMessageChunk } from 'ai'
import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import { streamUI } from '../../lib/adapters/ai-sdk-server.js'
import { RealtimeChatTransport } from '../../lib/adapters/ai-sdk.js'
import { createClient, type WebSocketConstructor } from '../../lib/client/index.js'
import type { Run } from '../../lib/index.js'
import { startAgent } from '../adapters/agent.js'
import { FakeLocks } from '../client/fake-locks.js'
import { eventually, gate, within, loopTurns } from '../waiting.js'

Object.defineProperty(globalThis, 'navigator', { configurable: true, value: { locks: new FakeLocks() } })
t.teardown(() => { Reflect.deleteProperty(globalThis, 'navigator') })

class Socket extends WebSocket {
  constructor (url: string, protocols?: string[]) {
    super(url, protocols, { closeTimeout: 100 } as object)
  }
}

/** A tab of the user's browser. `close` closes it. */
function openTab (t: Test, url: string) {
  const client = createClient({
    baseUrl: `${url}/ws`, userId: 'ada', WebSocket: Socket as WebSocketConstructor, share: true, backoff: () => 0, onError: () => {}
  })
  const transport = new RealtimeChatTransport({ workflow: 'w', appId: 'a', client })
  t.teardown(() => client.close())
  const chat = (id: string) => new Chat<UIMessage>({ id, transport, messages: [], onError: () => {}, sendAutomaticallyWhen: isAnswered })
  return { client, chat, close: () => client.close() }
}

/** Opens tabs one after another: the first one leads. */
async function openTabs (t: Test, url: string, count = 2) {
  const tabs = []
  for (let n = 0; n < count; n++) {
    const tab = openTab(t, url)
    await tab.client.connected()
    tabs.push(tab)
  }
  return tabs
}

const textOf = ({ messages }: Chat<UIMessage>) => messages.at(-1)?.parts.map(part => part.type === 'text' ? part.text : '').join('') ?? ''
const stateOf = ({ messages }: Chat<UIMessage>) => (messages.at(-1)?.parts.find(({ type }) => type === 'tool-pay') as { state?: string } | undefined)?.state
const saidBy = ({ messages }: Chat<UIMessage>) => messages.slice(0, 1)

const words = Array.from({ length: 60 }, (_, n) => `${n} `)

/** An answer that waits in its middle for the gate. */
async function slowly (run: Run, middle: Promise<void>): Promise<void> {
  const reply = run.reply()
  for (const [at, word] of words.entries()) {
    reply.write(word)
    if (at === 30) await middle
    if (at % 5 === 0) await loopTurns(1)
  }
  await reply.end()
}

t.test('two tabs with useChat have one socket, and each has its own chats', async t => {
  const { url, app } = await startAgent(t, (run, { content }) => { run.reply().write(`You said ${content}`) })
  const tabs = await openTabs(t, url)
  const chats = tabs.flatMap(({ chat }, tab) => [0, 1, 2].map(n => chat(`${tab}-${n}`)))
  await within(Promise.all(chats.map(chat => chat.sendMessage({ text: chat.id }))), 'the end of all answers')
  t.strictSame(chats.map(textOf), chats.map(({ id }) => `You said ${id}`))
  t.equal(app.ws.stats().connections, 1)
})

for (const closing of ['the tab that sent the message', 'another tab']) {
  t.test(`the leader, ${closing}, closes in the middle of an answer: the other tabs get it whole`, async t => {
    const middle = gate()
    const { url, app, runs } = await startAgent(t, run => slowly(run, middle.opened))
    const tabs = await openTabs(t, url, 3)
    const sending = closing === 'another tab' ? 1 : 0
    const chats = tabs.map(({ chat }) => chat('c'))
    const sent = chats[sending].sendMessage({ text: 'Count.' })
    await eventually(() => textOf(chats[sending]).includes('30 '))
    const others = [0, 1, 2].filter(at => at !== sending)
    for (const at of others) chats[at].messages = saidBy(chats[sending])
    const resumed = others.map(at => chats[at].resumeStream())
    await eventually(() => others.every(at => textOf(chats[at]).includes('30 ')))
    tabs[0].close()
    middle.open()
    await within(Promise.all([sent, ...resumed]), 'the end of the answer')
    for (const at of [1, 2]) {
      t.equal(textOf(chats[at]), words.join(''))
      t.strictSame([chats[at].status, chats[at].error], ['ready', undefined])
    }
    t.match(chats[0].error?.message, /^closed/)
    t.equal(await runs[0].finished, 'complete')
    t.equal(app.ws.stats().connections, 1)
    await chats[2].sendMessage({ text: 'Again.' })
    t.equal(textOf(chats[2]), words.join(''), 'the next message works')
  })
}

t.test('stop on one tab ends the run that another tab has started', async t => {
  const { url, runs } = await startAgent(t, run => slowly(run, new Promise(resolve => run.signal.addEventListener('abort', () => resolve()))))
  const [a, b] = (await openTabs(t, url)).map(({ chat }) => chat('c'))
  const sent = a.sendMessage({ text: 'Count.' })
  await eventually(() => textOf(a).includes('30 '))
  b.messages = saidBy(a)
  const resumed = b.resumeStream()
  await eventually(() => textOf(b).includes('30 '))
  await b.stop()
  await within(Promise.all([sent, resumed]), 'the end on both tabs')
  t.equal(await runs[0].finished, 'cancelled')
  t.strictSame([a.status, b.status], ['ready', 'ready'])
})

const pay: UIMessageChunk[] = [
  { type: 'start-step' }, { type: 'tool-input-available', toolCallId: 'p', toolName: 'pay', input: { sum: 5 } },
  { type: 'tool-approval-request', toolCallId: 'p', approvalId: 'a' }, { type: 'finish-step' }
]
const streamOf = (chunks: UIMessageChunk[]) => new ReadableStream<UIMessageChunk>({
  start (controller) {
    for (const chunk of chunks) controller.enqueue(chunk)
    controller.close()
  }
})

/** Starts an agent that asks for an approval, and says whether it got it. */
async function startAsking (t: Test) {
  let payments = 0
  const onApproved = (messages: ModelMessage[]): UIMessageChunk[] => {
    const isApproved = JSON.stringify(messages.at(-1)).includes('"approved":true')
    if (isApproved) payments++
    return [
      isApproved ? { type: 'tool-output-available', toolCallId: 'p', output: 'paid' } : { type: 'tool-output-denied', toolCallId: 'p' },
      { type: 'start-step' }, { type: 'text-start', id: 't' }, { type: 'text-delta', id: 't', delta: isApproved ? 'Paid.' : 'Not paid.' },
      { type: 'text-end', id: 't' }, { type: 'finish-step' }
    ]
  }
  const agent = await startAgent(t, run => streamUI(run, (messages: ModelMessage[]) =>
    streamOf(messages.length === 0 ? pay : onApproved(messages))))
  return { ...agent, payments: () => payments }
}

for (const isLeaderClosed of [false, true]) {
  t.test(`a tool is approved on the other tab${isLeaderClosed ? ', after the leader, which asked for it, has closed' : ''}: it runs once`, async t => {
    const { url, runs, payments } = await startAsking(t)
    const tabs = await openTabs(t, url)
    const [a, b] = tabs.map(({ chat }) => chat('c'))
    await within(a.sendMessage({ text: 'Pay.' }), 'the pause')
    t.equal(stateOf(a), 'approval-requested')
    b.messages = saidBy(a)
    await within(b.resumeStream(), 'the pause on the other tab')
    t.equal(stateOf(b), 'approval-requested')
    if (isLeaderClosed) tabs[0].close()
    await b.addToolApprovalResponse({ id: 'a', approved: true })
    await eventually(() => textOf(b) === 'Paid.' && b.status === 'ready')
    t.equal(await runs[0].finished, 'complete')
    t.strictSame([runs.length, payments()], [1, 1])
    if (isLeaderClosed) return
    await a.addToolApprovalResponse({ id: 'a', approved: false })
    await eventually(() => textOf(a) === 'Paid.' && a.status === 'ready')
    t.strictSame([runs.length, payments()], [1, 1], 'the first answer counts')
  })
}

t.test('a tool is approved on one tab and denied on the other at once: one answer counts, and both tabs show the same', async t => {
  const { url, runs, payments } = await startAsking(t)
  const [a, b] = (await openTabs(t, url)).map(({ chat }) => chat('c'))
  await within(a.sendMessage({ text: 'Pay.' }), 'the pause')
  b.messages = saidBy(a)
  await within(b.resumeStream(), 'the pause on the other tab')
  await Promise.all([a.addToolApprovalResponse({ id: 'a', approved: true }), b.addToolApprovalResponse({ id: 'a', approved: false })])
  await eventually(() => [a, b].every(chat => textOf(chat).endsWith('aid.') && chat.status === 'ready'))
  t.equal(runs.length, 1)
  t.equal(textOf(a), payments() === 1 ? 'Paid.' : 'Not paid.')
  t.strictSame(a.messages.at(-1)!.parts, b.messages.at(-1)!.parts)
})

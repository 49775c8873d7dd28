import { Chat } from '@ai-sdk/react'
import {
  createUIMessageStreamResponse, DefaultChatTransport,
  lastAssistantMessageIsCompleteWithApprovalResponses, lastAssistantMessageIsCompleteWithToolCalls,
  type ChatTransport, type UIMessage, type UIMessageChunk
} from 'ai'
import t from 'tap'
import { WebSocket } from 'ws'
import { messagesOf, streamUI } from '../../lib/adapters/ai-sdk-server.js'
import { RealtimeChatTransport, type RealtimeChatTransportOptions } from '../../lib/adapters/ai-sdk.js'
import { createChat } from '../../lib/client/chat/index.js'
import type { WebSocketConstructor } from '../../lib/client/index.js'
import type { SavedMessage } from '../../lib/index.js'
import { eventually, gate, within } from '../waiting.js'
import { startAgent } from '../adapters/agent.js'

type Scope = Parameters<typeof startAgent>[0]
type ChatOptions = Partial<ConstructorParameters<typeof Chat<UIMessage>>[0]>

/** Answers with chunks to the last message of the page. */
type Script = (last: UIMessage) => UIMessageChunk[]

class Socket extends WebSocket {
  constructor (url: string, protocols?: string[]) {
    super(url, protocols, { closeTimeout: 100 } as object)
  }
}

const streamOf = (chunks: UIMessageChunk[]) => new ReadableStream<UIMessageChunk>({
  start (controller) {
    for (const chunk of chunks) controller.enqueue(chunk)
    controller.close()
  }
})
/** A step of its own: a step with a call that is answered would be sent again and again by `sendAutomaticallyWhen`. */
const text = (delta: string): UIMessageChunk[] => [{ type: 'start-step' }, { type: 'text-start', id: 't' }, { type: 'text-delta', id: 't', delta }, { type: 'text-end', id: 't' }, { type: 'finish-step' }]
const asks: UIMessageChunk[] = [
  { type: 'start-step' }, { type: 'tool-input-available', toolCallId: 'c', toolName: 'locate', input: { precise: true } }, { type: 'finish-step' }, { type: 'finish' }
]

function transportTo (t: Scope, url: string, options: Partial<RealtimeChatTransportOptions> = {}) {
  const transport = new RealtimeChatTransport({
    baseUrl: `${url}/ws`, workflow: 'w', appId: 'a', userId: 'ada', WebSocket: Socket as WebSocketConstructor, backoff: () => 0, onError: () => {}, ...options
  } as RealtimeChatTransportOptions)
  t.teardown(() => transport.close())
  return transport
}

/** The AI SDK's own transport, with a server that answers by the script. */
function ownTransport (script: Script): ChatTransport<UIMessage> {
  return new DefaultChatTransport({
    fetch: async (_, init) => {
      const { messages, messageId } = JSON.parse(init!.body as string)
      const last = messages.find(({ id }: UIMessage) => id === messageId) ?? messages.at(-1)
      return createUIMessageStreamResponse({ stream: streamOf([{ type: 'start', messageId: last.role === 'assistant' ? last.id : `to ${last.id}` }, ...script(last)]) })
    }
  })
}

/** The transport to a server that answers by the script. */
async function ourTransport (t: Scope, script: Script): Promise<ChatTransport<UIMessage>> {
  const { url } = await startAgent(t, (run, { id, content, data }) => {
    const given = (data as { ui_message?: UIMessage }).ui_message ?? { id, role: 'user', parts: [{ type: 'text', text: content }] }
    return streamUI(run, streamOf(script(given as UIMessage)))
  })
  return transportTo(t, url)
}

const settled = (chat: Chat<UIMessage>) => eventually(() => chat.status === 'ready' || chat.status === 'error')

/** Does the same with the AI SDK's own transport and with ours. Returns both chats at the end. */
async function both (t: Scope, script: Script, act: (chat: Chat<UIMessage>) => Promise<unknown>, options: ChatOptions = {}) {
  const chats = [ownTransport(script), await ourTransport(t, script)].map(transport => {
    let count = 0
    return new Chat<UIMessage>({ id: 'c', transport, generateId: () => `id${++count}`, onError: () => {}, ...options })
  })
  for (const chat of chats) {
    await within(act(chat), 'the end of the conversation')
    await settled(chat)
  }
  const [own, ours] = chats.map(({ messages, error }) =>
    ({ error: error?.message, messages: messages.map(({ role, parts, metadata }) => ({ role, parts, metadata })) }))
  return { own: JSON.parse(JSON.stringify(own)), ours: JSON.parse(JSON.stringify(ours)) }
}

t.test('addToolOutput and sendAutomaticallyWhen: a tool of the page answers, and the answer continues the same message', async t => {
  const script: Script = last => last.role === 'user' ? asks : text(`At ${(last.parts.find(part => part.type === 'tool-locate') as { output?: string }).output}.`)
  const { own, ours } = await both(t, script, async chat => {
    await chat.sendMessage({ text: 'Where am I?' })
    await settled(chat)
    await chat.addToolOutput({ tool: 'locate' as never, toolCallId: 'c', output: 'home' as never })
    await eventually(() => JSON.stringify(chat.messages).includes('At home.'))
  }, { sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithToolCalls })
  t.equal(ours.messages.length, 2)
  t.strictSame(ours, own)
})

t.test('addToolOutput with an error ends the call with it', async t => {
  const script: Script = last => last.role === 'user' ? asks : text('I do not know.')
  const { own, ours } = await both(t, script, async chat => {
    await chat.sendMessage({ text: 'Where am I?' })
    await settled(chat)
    await chat.addToolOutput({ state: 'output-error', tool: 'locate' as never, toolCallId: 'c', errorText: 'no GPS' })
    await eventually(() => JSON.stringify(chat.messages).includes('I do not know.'))
  }, { sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithToolCalls })
  t.match(JSON.stringify(ours), 'no GPS')
  t.strictSame(ours, own)
})

t.test('addToolApprovalResponse to a bare stream, whose run is over, is sent with the message', async t => {
  const script: Script = last => last.role === 'user'
    ? [...asks.slice(0, 2), { type: 'tool-approval-request', toolCallId: 'c', approvalId: 'a' }, ...asks.slice(2)]
    : [{ type: 'tool-output-available', toolCallId: 'c', output: 'home' }, ...text('At home.'), { type: 'finish' }]
  const { own, ours } = await both(t, script, async chat => {
    await chat.sendMessage({ text: 'Where am I?' })
    await settled(chat)
    await chat.addToolApprovalResponse({ id: 'a', approved: true })
    await eventually(() => JSON.stringify(chat.messages).includes('At home.'))
  }, { sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithApprovalResponses })
  t.strictSame(ours, own)
})

t.test('addToolOutput to an earlier message continues that message', async t => {
  const script: Script = last => {
    if (last.role === 'assistant') return text('At home.')
    return JSON.stringify(last).includes('Where') ? asks : text('Hello.')
  }
  const { own, ours } = await both(t, script, async chat => {
    await chat.sendMessage({ text: 'Where am I?' })
    await chat.sendMessage({ text: 'Hi' })
    await chat.addToolOutput({ tool: 'locate' as never, toolCallId: 'c', output: 'home' as never })
    await eventually(() => JSON.stringify(chat.messages).includes('At home.'))
  }, { sendAutomaticallyWhen: ({ messages }) => messages.some(({ parts }) => (parts.at(-1) as { state?: string } | undefined)?.state === 'output-available') })
  t.match(ours.messages, [{ role: 'user' }, { parts: [{}, { output: 'home' }, {}, { text: 'At home.' }] }, { role: 'user' }, { parts: [{}, { text: 'Hello.' }] }])
  t.strictSame(ours, own)
})

t.test('a second device that joins the continuation of an answer shows it as a message of its own, without the outputs of earlier calls', async t => {
  const hold = gate()
  const { url } = await startAgent(t, (run, { data }) => {
    const given = data.ui_message as UIMessage | undefined
    if (given === undefined) return streamUI(run, streamOf([...asks.slice(0, 2), { type: 'tool-approval-request', toolCallId: 'c', approvalId: 'a' }, ...asks.slice(2)]))
    return streamUI(run, new ReadableStream<UIMessageChunk>({
      async start (controller) {
        controller.enqueue({ type: 'tool-approval-response', approvalId: 'a', approved: true } as object as UIMessageChunk)
        controller.enqueue({ type: 'tool-output-available', toolCallId: 'c', output: 'home' })
        for (const chunk of text('At home.')) controller.enqueue(chunk)
        await hold.opened
        controller.close()
      }
    }), { messages: [given] })
  })
  const first = new Chat<UIMessage>({
    id: 'c', transport: transportTo(t, url), messages: [], onError: () => {}, sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithApprovalResponses
  })
  await first.sendMessage({ text: 'Where am I?' })
  const second = new Chat<UIMessage>({ id: 'c', transport: transportTo(t, url), messages: JSON.parse(JSON.stringify(first.messages)), onError: () => {} })
  await first.addToolApprovalResponse({ id: 'a', approved: true })
  await eventually(() => JSON.stringify(first.messages).includes('At home.'))
  const resumed = second.resumeStream()
  await eventually(() => second.messages.length === 3)
  hold.open()
  await within(resumed, 'the end of the answer')
  await settled(first)
  t.strictSame([first.error, second.error], [undefined, undefined])
  t.strictSame(first.messages.map(({ parts }) => parts.map(({ type }) => type)), [['text'], ['step-start', 'tool-locate', 'step-start', 'text']])
  t.strictSame(second.messages.map(({ parts }) => parts.map(({ type }) => type)), [['text'], ['step-start', 'tool-locate'], ['step-start', 'text']])
})

t.test('regenerate replaces the answer, the last one or an earlier one', async t => {
  let count = 0
  const script: Script = () => text(`answer ${++count % 4}`)
  const { own, ours } = await both(t, script, async chat => {
    await chat.sendMessage({ text: 'one' })
    await chat.sendMessage({ text: 'two' })
    await chat.regenerate()
    await chat.regenerate({ messageId: chat.messages[1].id })
  })
  t.equal(ours.messages.length, 2)
  t.strictSame(ours, own)
})

t.test("regenerate and a continuation leave the user's message once in the log, in what is saved, and on a second device", async t => {
  const saved: SavedMessage[] = []
  const save = (message: SavedMessage) => { saved.push(message) }
  const { url } = await startAgent(t, run => streamUI(run, streamOf(text('answer'))), { chat: { save } })
  const chat = new Chat<UIMessage>({ id: 'c', transport: transportTo(t, url), messages: [], onError: () => {} })
  await chat.sendMessage({ text: 'Hi' })
  await chat.regenerate()
  // Continues the answer, like after a tool of the page.
  await chat.sendMessage()
  t.match(chat.messages, [{ role: 'user' }, { role: 'assistant', parts: [{ type: 'step-start' }, { text: 'answer' }, { type: 'step-start' }, { text: 'answer' }] }])
  await eventually(() => saved.length === 4)
  t.strictSame(saved.map(({ role }) => role), ['user', 'assistant', 'assistant', 'assistant'])
  t.strictSame((await messagesOf(saved)).map(({ role }) => role), ['user', 'assistant', 'assistant', 'assistant'])

  const page = createChat({ workflow: 'w', appId: 'a', userId: 'ada', chatId: 'c', baseUrl: `${url}/ws`, WebSocket: Socket as WebSocketConstructor })
  t.teardown(() => page.end())
  await eventually(() => page.messages.length === 4 && page.status === 'ready')
  t.strictSame(page.messages.map(({ role }) => role), ['user', 'assistant', 'assistant', 'assistant'])
})

t.test('a call with an input that is not valid is a part of the same type', async t => {
  const failed = { type: 'tool-input-error', toolCallId: 'c', toolName: 'unknown', input: {}, dynamic: true, errorText: 'no such tool' } as const
  const { own, ours } = await both(t, () => [{ type: 'start-step' }, failed, { type: 'finish-step' }, ...text('Sorry.')], chat => chat.sendMessage({ text: 'Hi' }))
  t.match(ours.messages[1].parts[1], { type: 'dynamic-tool', state: 'output-error' })
  t.strictSame(ours, own)
})

t.test('a tool call of chat completions is shown while its arguments grow, and ends with its run', async t => {
  let hold = gate()
  const eventOf = (choice: object) => `data: ${JSON.stringify({ choices: [choice] })}\n\n`
  const callOf = (text: string, more: object = {}) =>
    eventOf({ delta: { tool_calls: [{ index: 0, function: { arguments: text }, ...more }] } })
  const { url } = await startAgent(t, async (run, { content }) => {
    const body = new ReadableStream<Uint8Array>({
      async start (controller) {
        const write = (text: string) => controller.enqueue(Buffer.from(text))
        write(callOf('{"q":', { id: 'c', function: { name: 'find', arguments: '{"q":' } }))
        await hold.opened
        write(callOf(content))
        write(eventOf({ finish_reason: 'tool_calls' }))
        controller.close()
      }
    })
    await run.stream(new Response(body, { headers: { 'content-type': 'text/event-stream' } }))
  })
  for (const [content, part] of [['1}', { input: { q: 1 }, errorText: 'interrupted' }], ['oops', { errorText: 'the arguments are not JSON' }]] as const) {
    hold = gate()
    const chat = new Chat<UIMessage>({ id: content.slice(0, 1), transport: transportTo(t, url), messages: [], onError: () => {} })
    const sent = chat.sendMessage({ text: content })
    await eventually(() => (chat.messages[1]?.parts[0] as { state?: string } | undefined)?.state === 'input-streaming')
    hold.open()
    await within(sent, 'the end of the answer')
    t.strictSame([chat.error, chat.status], [undefined, 'ready'])
    t.match(chat.messages[1].parts, [{ type: 'tool-find', state: 'output-error', ...part }])
  }
})

t.test('files come with their message', async t => {
  const script: Script = last => text(last.parts.map(part => part.type === 'file' ? `${part.mediaType} ${part.filename} ${part.url}` : part.type).join())
  const files = [{ type: 'file' as const, mediaType: 'text/plain', filename: 'a.txt', url: 'data:text/plain;base64,aGk=' }]
  const { own, ours } = await both(t, script, chat => chat.sendMessage({ text: 'Look', files }))
  t.match(JSON.stringify(ours), 'text/plain a.txt data:text/plain;base64,aGk=')
  t.strictSame(ours, own)
})

t.test('files beyond the limit of a frame end with too_big and the cure, and the next message works', async t => {
  const transport = await ourTransport(t, () => text('Hello'))
  const chat = new Chat<UIMessage>({ id: 'c', transport, onError: () => {} })
  await chat.sendMessage({ text: 'Look', files: [{ type: 'file', mediaType: 'image/png', url: `data:image/png;base64,${'A'.repeat(70_000)}` }] })
  t.match(chat.error?.message, /^too_big: \d+ bytes, at most 65536\. Upload the files, and send their URLs$/)
  await chat.sendMessage({ text: 'x'.repeat(70_000) })
  t.match(chat.error?.message, /^too_big: \d+ bytes, at most 65536$/)
  await chat.sendMessage({ text: 'Hi' })
  t.equal(chat.status, 'ready')
})

t.test('an answer beyond the limit of a frame cannot be continued as a whole: it ends with too_big and the cure, which works', async t => {
  const { url, messages } = await startAgent(t, run => streamUI(run, streamOf(text('At home.'))))
  const call = { type: 'tool-locate', toolCallId: 'c', state: 'input-available', input: {} }
  const long = [
    { id: 'u', role: 'user', parts: [{ type: 'text', text: 'Where am I?' }] },
    { id: 'a', role: 'assistant', parts: [{ type: 'text', text: 'x'.repeat(70_000) }, call] }
  ] as UIMessage[]
  const outputs: RealtimeChatTransportOptions['prepareSendMessagesRequest'] = ({ messages }) =>
    ({ body: { outputs: messages.at(-1)!.parts.flatMap(part => 'output' in part ? [part.output] : []) } })
  const answer = async (prepareSendMessagesRequest?: typeof outputs) => {
    const transport = transportTo(t, url, { prepareSendMessagesRequest })
    const chat = new Chat<UIMessage>({ id: 'c', transport, messages: structuredClone(long), onError: () => {} })
    await chat.addToolOutput({ tool: 'locate' as never, toolCallId: 'c', output: 'home' as never })
    await chat.sendMessage()
    return chat
  }
  const cure = 'Send only what the page has added to the answer, with prepareSendMessagesRequest'
  t.match((await answer()).error?.message, new RegExp(`^too_big: \\d+ bytes, at most 65536\\. ${cure}$`))
  t.match((await answer(outputs)).messages.at(-1), { id: 'a', parts: [{}, { output: 'home' }, {}, { text: 'At home.' }] })
  t.match(messages.map(({ data }) => data), [{ outputs: ['home'], ui_message: undefined }])
})

t.test('prepareSendMessagesRequest chooses the fields that the server gets', async t => {
  const { url, messages } = await startAgent(t, run => streamUI(run, streamOf(text('Hello'))))
  const given: unknown[] = []
  const prepareSendMessagesRequest: RealtimeChatTransportOptions['prepareSendMessagesRequest'] = async options => {
    given.push(options)
    return { body: { last: options.messages.at(-1)!.parts.length, message_id: 'ignored', ...options.body?.secret === true && { content: '(secret)' } } }
  }
  const chat = new Chat<UIMessage>({ id: 'c', transport: transportTo(t, url, { prepareSendMessagesRequest }) })
  await chat.sendMessage({ text: 'Hi' }, { body: { model: 'm' }, metadata: { a: 1 } })
  await chat.sendMessage({ text: 'Hi' }, { body: { secret: true } })
  t.match(given[0], { id: 'c', trigger: 'submit-message', messageId: undefined, messages: [{ role: 'user' }], body: { model: 'm' }, requestMetadata: { a: 1 } })
  t.match(messages[0], { id: chat.messages[0].id, content: 'Hi' })
  t.strictSame(messages[0].data, { last: 1, content: 'Hi', message_id: chat.messages[0].id })
  t.equal(messages[1].content, '(secret)')
})

t.test('resume streams a run between the acceptance of its message and its start', async t => {
  const saved = gate()
  const { url } = await startAgent(t, run => streamUI(run, streamOf(text('Hello'))), { chat: { save: () => saved.opened } })
  const first = new Chat<UIMessage>({ id: 'c', transport: transportTo(t, url), onError: () => {} })
  const sent = first.sendMessage({ text: 'Hi' })
  const page = transportTo(t, url)
  await eventually(async () => {
    const stream = await page.reconnectToStream({ chatId: 'c' })
    await stream?.cancel()
    return stream !== null
  })
  const late = new Chat<UIMessage>({ id: 'c', transport: page, messages: first.messages.slice(0, 1) })
  const resumed = late.resumeStream()
  saved.open()
  await within(Promise.all([sent, resumed]), 'the end of the answer on both pages')
  t.strictSame(late.messages.at(-1)?.parts, first.messages.at(-1)?.parts)
  await late.resumeStream()
  t.equal(late.status, 'ready', 'nothing runs')
  t.equal(late.messages.length, 2)
})

t.test('transient data is for those who are there: a page that resumes does not get it', async t => {
  const hold = gate()
  const { url } = await startAgent(t, run => streamUI(run, new ReadableStream<UIMessageChunk>({
    async start (controller) {
      controller.enqueue({ type: 'data-hint', data: 1, transient: true })
      controller.enqueue({ type: 'data-kept', data: 2 })
      await hold.opened
      controller.enqueue({ type: 'data-hint', data: 3, transient: true })
      controller.close()
    }
  })))
  const shown: Record<string, unknown[]> = { first: [], late: [] }
  const chatOf = (name: string, messages: UIMessage[] = []) =>
    new Chat<UIMessage>({ id: 'c', transport: transportTo(t, url), messages, onData: ({ data }) => { shown[name].push(data) } })
  const first = chatOf('first')
  const sent = first.sendMessage({ text: 'Hi' })
  await eventually(() => shown.first.length === 2)
  const late = chatOf('late', first.messages.slice(0, 1))
  const resumed = late.resumeStream()
  await eventually(() => shown.late.length === 1)
  hold.open()
  await within(Promise.all([sent, resumed]), 'the end of the answer on both pages')
  t.strictSame(shown, { first: [1, 2, 3], late: [2, 3] })
  t.strictSame(first.messages.at(-1)!.parts, [{ type: 'data-kept', data: 2 }])
})

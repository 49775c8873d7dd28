import { convertToModelMessages, type UIMessage, type UIMessageChunk } from 'ai'
import t from 'tap'
import { messagesOf, streamUI, type UiResult } from '../../lib/adapters/ai-sdk-server.js'
import type { SavedMessage } from '../../lib/index.js'
import { connect } from '../harness.js'
import { eventually } from '../waiting.js'
import { startAgent } from './agent.js'

const streamOf = (...chunks: UIMessageChunk[]) => new ReadableStream<UIMessageChunk>({
  start (controller) {
    for (const chunk of chunks) controller.enqueue(chunk)
    controller.close()
  }
})
const text = (id: string, delta: string): UIMessageChunk[] =>
  [{ type: 'text-start', id }, { type: 'text-delta', id, delta }, { type: 'text-end', id }]
const say = (content = 'hi') => ({ type: 'chat_message', ref: content, data: { message_id: content, content } })

t.test('an answer is saved with its parts, and messagesOf makes the same message of it', async t => {
  const saved: SavedMessage[] = []
  const { url } = await startAgent(t, run => streamUI(run, streamOf(
    { type: 'start', messageMetadata: { a: 1 } },
    { type: 'reasoning-start', id: 'r' }, { type: 'reasoning-delta', id: 'r', delta: 'hm' }, { type: 'reasoning-end', id: 'r' },
    { type: 'tool-input-available', toolCallId: 'c', toolName: 'find', input: { q: 1 } },
    { type: 'tool-output-available', toolCallId: 'c', output: 2 },
    { type: 'source-url', sourceId: 's', url: 'u' },
    ...text('t', 'Two.'),
    { type: 'finish', messageMetadata: { b: 2 } }
  ), { agent: 'clerk' }), { chat: { save: message => { saved.push(message) } } })
  const client = await connect(t, `${url}/ws/support/shop/c1/ada`)
  client.send(say())
  const { data } = await client.next('run_finished') as any
  t.equal(data.status, 'complete')
  const messages = await messagesOf(saved)
  t.match(messages, [
    { id: 'hi', role: 'user', parts: [{ type: 'text', text: 'hi' }] },
    {
      id: data.run_id,
      role: 'assistant',
      metadata: { a: 1, b: 2 },
      parts: [
        { type: 'reasoning', text: 'hm', state: 'done' }, { type: 'tool-find', state: 'output-available', input: { q: 1 }, output: 2 },
        { type: 'source-url', url: 'u' }, { type: 'text', text: 'Two.', state: 'done' }
      ]
    }
  ])
  t.match((await convertToModelMessages(messages)).map(({ role }) => role).slice(0, 3), ['user', 'assistant', 'tool'])
})

t.test("the model's error is that of the run: users see a text, and the text so far", async t => {
  const result: UiResult = {
    toUIMessageStream: ({ onError }) => streamOf(
      { type: 'text-start', id: 't' }, { type: 'text-delta', id: 't', delta: 'so far' }, { type: 'error', errorText: onError(new Error('secret 429')) })
  }
  const failing = new ReadableStream<UIMessageChunk>({ start (controller) { controller.error(new Error('secret')) } })
  for (const [source, message, content] of [
    [() => result, 'Too many requests', 'so far'], [streamOf({ type: 'error', errorText: 'No.' }), 'No.'], [failing, 'Too many requests'],
    [streamOf({ type: 'abort' }), 'Too many requests']
  ] as const) {
    const errors: unknown[] = []
    const { url } = await startAgent(t, run => streamUI(run, source as any, { onError: () => 'Too many requests' }).catch(error => {
      errors.push(error.cause)
      throw error
    }))
    const client = await connect(t, `${url}/ws/support/shop/c1/ada`)
    client.send(say())
    t.match(await client.next('run_finished'), { data: { status: 'error', error: { code: 'answer_failed', message } } })
    const shown = client.received.filter(({ type, data }) => type === 'chat_message' && (data as any).role === 'assistant').map(({ data }) => data as any)
    t.match(shown, content === undefined ? [] : [{ content, status: 'error' }])
    t.equal(shown.length, content === undefined ? 0 : 1, 'no empty message')
    t.match(errors, [Error])
    t.notMatch(JSON.stringify(client.received), 'secret')
  }
})

t.test('an answer that fails before it has content is not saved', async t => {
  const begun: UIMessageChunk[] = [{ type: 'start', messageMetadata: { a: 1 } }, { type: 'start-step' }, { type: 'reasoning-start', id: 'r' }, { type: 'text-start', id: 't' }]
  for (let count = 0; count <= begun.length + 1; count++) {
    const saved: SavedMessage[] = []
    const chunks = [...begun, { type: 'text-delta', id: 't', delta: 'so far' } as const].slice(0, count)
    const { url } = await startAgent(t, run => streamUI(run, streamOf(...chunks, { type: 'error', errorText: 'No.' })), { chat: { save: message => { saved.push(message) } } })
    const client = await connect(t, `${url}/ws/support/shop/c1/ada`)
    client.send(say())
    t.match(await client.next('run_finished'), { data: { status: 'error' } })
    await eventually(() => saved.length > (count > begun.length ? 1 : 0))
    t.same(saved.map(({ role, status }) => `${role} ${status}`), ['user complete', ...count > begun.length ? ['assistant error'] : []], `after ${count} chunks`)
  }
})

t.test('a tool that needs an approval waits for a user, and the function is called again with the answer', async t => {
  for (const approved of [true, false]) {
    const calls: unknown[] = []
    const { url } = await startAgent(t, run => streamUI(run, messages => {
      calls.push(JSON.parse(JSON.stringify(messages)))
      if (calls.length > 1) return streamOf({ type: 'start' }, approved ? { type: 'tool-output-available', toolCallId: 'c', output: 'paid' } : { type: 'tool-output-denied', toolCallId: 'c' }, ...text('t', 'Done.'))
      return streamOf({ type: 'start' }, { type: 'tool-input-available', toolCallId: 'c', toolName: 'pay', input: { sum: 5 } }, { type: 'tool-approval-request', toolCallId: 'c', approvalId: 'a' })
    }))
    const client = await connect(t, `${url}/ws/support/shop/c1/ada`)
    client.send(say())
    const { data } = await client.next('input_request') as any
    t.match(data, { prompt: 'Run pay?', component: 'tool-approval', call_id: 'c' })
    const other = await connect(t, `${url}/ws/support/shop/c1/ada?since=0`)
    other.send({ type: 'input_response', ref: 'r', data: { request_id: data.request_id, value: { approved } } })
    t.match(await client.next('tool_output'), { data: approved ? { status: 'complete', output: 'paid' } : { status: 'error', error: { code: 'denied' } } })
    await client.next('run_finished')
    t.equal(calls.length, 2)
    t.match(calls[1], [{ role: 'assistant' }, { role: 'tool', content: [{ type: 'tool-approval-response', approvalId: 'a', approved }] }])
  }
})

t.test('an approval counts as denied after the timeout', async t => {
  const answers: unknown[] = []
  const { url } = await startAgent(t, run => streamUI(run, messages => {
    if (messages.length > 0) {
      answers.push(JSON.parse(JSON.stringify(messages.at(-1))))
      return streamOf(...text('t', 'Not paid.'))
    }
    return streamOf({ type: 'tool-input-available', toolCallId: 'c', toolName: 'pay', input: {} }, { type: 'tool-approval-request', toolCallId: 'c', approvalId: 'a' })
  }, { approvalTimeout: 10 }))
  const client = await connect(t, `${url}/ws/support/shop/c1/ada`)
  client.send(say())
  t.match(await client.next('run_finished'), { data: { status: 'complete' } })
  t.match(answers, [{ content: [{ approved: false, reason: 'timeout' }] }])
})

t.test('the model does not get a call of a page that the page has left open', async t => {
  const call = { type: 'tool-locate', toolCallId: 'c', state: 'input-available', input: {} }
  const messages = [
    { id: '1', role: 'user', parts: [{ type: 'text', text: 'Where am I?' }] },
    { id: '2', role: 'assistant', parts: [{ type: 'text', text: 'I ask your page.' }, call] },
    { id: '3', role: 'user', parts: [{ type: 'text', text: 'Never mind.' }] }
  ] as UIMessage[]
  const given: unknown[] = []
  const { url } = await startAgent(t, run => streamUI(run, messages => {
    given.push(...messages)
    return streamOf(...text('t', 'Fine.'))
  }, { messages }))
  const client = await connect(t, `${url}/ws/support/shop/c1/ada`)
  client.send(say())
  t.match(await client.next('run_finished'), { data: { status: 'complete' } })
  t.match(given, [{ role: 'user' }, { role: 'assistant' }, { role: 'user' }])
  t.strictSame((given[1] as { content: Array<{ type: string }> }).content.map(({ type }) => type), ['text'])
})

t.test('an answer that continues a message and fails before it has content leaves nothing', async t => {
  const saved: SavedMessage[] = []
  const messages = [{ id: '2', role: 'assistant', parts: [{ type: 'text', text: 'So far' }] }] as UIMessage[]
  const { url } = await startAgent(t, run => streamUI(run, streamOf({ type: 'start' }, { type: 'start-step' }, { type: 'error', errorText: 'No.' }), { messages }), {
    chat: { save: message => { saved.push(message) } }
  })
  const client = await connect(t, `${url}/ws/support/shop/c1/ada`)
  client.send(say())
  t.match(await client.next('run_finished'), { data: { status: 'error' } })
  t.notMatch(JSON.stringify(client.received), 'continues')
  t.strictSame(saved.map(({ role }) => role), ['user'])
})

t.test('cancelling a run ends the stream of its model', async t => {
  let isCancelled = false
  const { url, runs } = await startAgent(t, run => streamUI(run, new ReadableStream<UIMessageChunk>({
    start (controller) { for (const chunk of text('t', 'so far').slice(0, 2)) controller.enqueue(chunk) },
    cancel () { isCancelled = true }
  })))
  const client = await connect(t, `${url}/ws/support/shop/c1/ada`)
  client.send(say())
  await eventually(() => JSON.stringify(client.received).includes('so far'))
  runs[0].cancel()
  t.match(await client.next('run_finished'), { data: { status: 'cancelled' } })
  t.equal(isCancelled, true)
})

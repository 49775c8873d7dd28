import { EventType, type Event, type RunAgentInput } from '@ag-ui/core'
import Fastify from 'fastify'
import t from 'tap'
import { WebSocket } from 'ws'
import { toAgUi } from '../../lib/adapters/ag-ui.js'
import { chatMessages } from '../../lib/protocol/chat.js'
import { connect } from '../harness.js'
import { eventually } from '../waiting.js'
import { Page, post, recorded } from './page.js'
import { found } from '../every.js'

const page = new Page('docs/ag-ui.md')

/** Types that only clients send, and that are in no log. */
const sentByClients = ['chat_cancel', 'input_response', 'chat_history']

/** Rows of the table of types: the names in both cells. */
const rows = page.table('## Mapping of types', '| In a chat | In AG-UI |').map(row => row.map(namesIn))

/** Kinds of parts, which rows may be about. */
const kinds = ['reasoning', 'tool', 'step', 'source', 'file', 'data', 'message']

/** The words in code of a cell: types, and patterns such as `STATE_*`. */
function namesIn (cell: string): string[] {
  return [...cell.matchAll(/`([\w*]+)`/g)].map(([, name]) => name)
}

t.test('the snippet that converts does so in both directions', async t => {
  const { lines, console } = recorded()
  await page.run(t, 'ag-ui', { globals: { console } })
  t.same(lines, ['chat_message ', 'chat_delta Hello', 'TEXT_MESSAGE_START', 'TEXT_MESSAGE_CONTENT'])
})

t.test('the snippet of an agent over HTTP shows its answer and its error, and the end of a run ends the request', async t => {
  const agent = Fastify({ forceCloseConnections: true })
  const requests: RunAgentInput[] = []
  let isClosed = false
  agent.post<{ Body: RunAgentInput }>('/run', async ({ body }, reply) => {
    requests.push(body)
    reply.hijack()
    reply.raw.writeHead(200, { 'content-type': 'text/event-stream' })
    const send = (event: Event) => reply.raw.write(`data: ${JSON.stringify(event)}\n\n`)
    const { threadId, runId } = body
    send({ type: EventType.RUN_STARTED, threadId, runId })
    send({ type: EventType.REASONING_MESSAGE_CHUNK, messageId: 'z', delta: 'Hm' })
    send({ type: EventType.TOOL_CALL_CHUNK, toolCallId: 'c1', toolCallName: 'find', delta: '{"q":1}' })
    send({ type: EventType.TOOL_CALL_RESULT, messageId: 'x', toolCallId: 'c1', content: 'found' })
    send({ type: EventType.TEXT_MESSAGE_CHUNK, messageId: 'a', delta: 'Hello' })
    const last = body.messages[0].content
    if (last === 'Hi') send({ type: EventType.RUN_FINISHED, threadId, runId })
    if (last === 'Fail') send({ type: EventType.RUN_ERROR, message: 'a secret' })
    if (last === 'Wait') reply.raw.on('close', () => { isClosed = true })
    else reply.raw.end()
  })
  const agentUrl = await agent.listen({ port: 0, host: '127.0.0.1' })
  t.teardown(() => agent.close())
  const { url } = await page.serve(t, 'agent', { replace: { 'https://agent.example': agentUrl } })
  const client = await connect(t, `${url}/support/shop/c1/ada`)
  client.send({ type: 'chat_message', ref: 'm1', data: { content: 'Hi' } })
  t.match(await client.next('run_finished'), { data: { status: 'complete' } })
  t.match(requests, [{ threadId: 'c1', messages: [{ id: 'm1', role: 'user', content: 'Hi' }] }])
  const parts = client.received.map(({ data }) => Object(data))
  t.ok(parts.find(({ kind, text, status }) => kind === 'reasoning' && text === 'Hm' && status === 'complete'))
  t.match(parts.find(({ output }) => output !== undefined), { call_id: 'c1', name: 'find', status: 'complete', output: 'found' })
  t.match(client.received.filter(({ type }) => type === 'chat_message').at(-1), { data: { content: 'Hello', status: 'complete' } })
  client.send({ type: 'chat_message', ref: 'm2', data: { content: 'Fail' } })
  const failed = await client.next('run_finished')
  t.match(failed, { data: { status: 'error' } })
  t.notMatch(JSON.stringify(failed), 'a secret')
  client.send({ type: 'chat_message', ref: 'm3', data: { content: 'Wait' } })
  await eventually(() => requests.length === 3)
  client.send({ type: 'chat_cancel' })
  t.match(await client.next('run_finished'), { data: { status: 'cancelled' } })
  await eventually(() => isClosed)
})

t.test('the snippet of the server publishes a run of an agent, and the snippet of the page shows its events', async t => {
  const { app, host } = await page.serve(t, 'server')
  const { lines, console } = recorded()
  Object.assign(globalThis, { WebSocket })
  t.teardown(() => { delete (globalThis as { WebSocket?: unknown }).WebSocket })
  const { client } = await page.run(t, 'page', { globals: { console }, replace: { 'localhost:3000': host } })
  t.teardown(() => client.close())
  await client.connected()
  t.same(await post(app, '/users/ada/chats/c1/runs'), { done: true })
  await eventually(() => lines.includes('RUN_FINISHED'))
  // Texts that are written close together may arrive in one event.
  const different = lines.filter((line, at) => line !== lines[at - 1])
  t.same(different, ['RUN_STARTED', 'TEXT_MESSAGE_START', 'TEXT_MESSAGE_CONTENT', 'TEXT_MESSAGE_END', 'RUN_FINISHED'])
})

t.test('the table has every type of a chat and every event, and they become what it says', async t => {
  const data: Record<string, object> = {
    run_started: { run_id: 'r1' },
    run_finished: { run_id: 'r1', status: 'complete' },
    chat_delta: { message_id: 'm1', at: 0, text: 'a' },
    chat_message: { message_id: 'm2', content: 'a', status: 'complete' },
    tool_call: { call_id: 't1', name: 'find', args: {} },
    tool_output: { call_id: 't1', status: 'complete', output: 'a' }
  }
  for (const [types, events] of rows.slice(0, -1)) {
    const partOfKind = { message_id: 'm1', part_id: 'p1', kind: types.find(type => kinds.includes(type)), at: 0, text: 'a', run_id: 'r1' }
    for (const type of types.filter(type => type in chatMessages)) {
      const toEvents = toAgUi({ threadId: 'c1' })
      if (type === 'run_finished') toEvents({ type: 'run_started', data: { run_id: 'r1' } })
      const made = toEvents({ type, data: data[type] ?? partOfKind }).map(event => event.type)
      t.ok(made.length > 0, `${type} is an event`)
      t.strictSame(found(made, event => !events.includes(event)), [], type)
    }
  }
  const types = new Set(rows.flatMap(([types]) => types))
  const isPublished = (type: string) => !sentByClients.includes(type)
  t.strictSame(found(Object.keys(chatMessages), type => isPublished(type) && !types.has(type)), [], 'every type of a chat is there')
  const patterns = rows.flatMap(([, events]) => events).map(name => new RegExp(`^${name.replace('*', '.*')}$`))
  const isThere = (event: string) => patterns.some(pattern => pattern.test(event))
  t.strictSame(found(Object.values(EventType), event => !event.endsWith('_CHUNK') && !isThere(event)), [], 'every event is there')
})

t.test('every snippet of the page is run', async t => { page.allRan(t) })

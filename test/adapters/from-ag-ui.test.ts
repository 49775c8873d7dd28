import { EventType, type Event } from '@ag-ui/core'
import t from 'tap'
import { fromAgUi, toAgUi, type ChatMessage } from '../../lib/adapters/ag-ui.js'
import { events, merged } from './recorded.js'

const messagesOf = (events: Event[]) => events.flatMap(fromAgUi())
/** Removes the fields that only AG-UI has. */
const plain = (messages: ChatMessage[]) => messages.map(({ type, data: { ag_ui: _, ...data } = {} }) => ({ type, data }))

t.test('a run of AG-UI becomes the messages of a run in a chat', async t => {
  const messages = messagesOf([
    { type: EventType.RUN_STARTED, threadId: 't', runId: 'r', timestamp: 0 },
    { type: EventType.TEXT_MESSAGE_START, messageId: 'a', name: 'planner' },
    { type: EventType.TEXT_MESSAGE_CONTENT, messageId: 'a', delta: 'one ' },
    { type: EventType.TEXT_MESSAGE_CONTENT, messageId: 'a', delta: 'two' },
    { type: EventType.TEXT_MESSAGE_END, messageId: 'a' },
    { type: EventType.TOOL_CALL_START, toolCallId: 't', toolCallName: 'search' },
    { type: EventType.TOOL_CALL_ARGS, toolCallId: 't', delta: '{"q":1}' },
    { type: EventType.TOOL_CALL_END, toolCallId: 't' },
    { type: EventType.TOOL_CALL_RESULT, messageId: 'x', toolCallId: 't', content: 'found' },
    { type: EventType.RUN_ERROR, message: 'No.' }
  ])
  t.equal(messages[0].timestamp, '1970-01-01T00:00:00.000Z')
  const run = { run_id: 'r' }
  const said = { message_id: 'a', ...run, role: 'assistant', agent: 'planner' }
  t.same(plain(messages.filter(({ type }) => type !== 'ag_ui')), [
    { type: 'run_started', data: run },
    { type: 'chat_message', data: { ...said, content: '', status: 'streaming' } },
    { type: 'chat_delta', data: { message_id: 'a', ...run, agent: 'planner', at: 0, text: 'one ' } },
    { type: 'chat_delta', data: { message_id: 'a', ...run, agent: 'planner', at: 4, text: 'two' } },
    { type: 'chat_message', data: { ...said, content: 'one two', status: 'complete' } },
    { type: 'tool_call', data: { call_id: 't', ...run, name: 'search', args: { q: 1 } } },
    { type: 'tool_output', data: { call_id: 't', ...run, name: 'search', status: 'complete', output: 'found' } },
    { type: 'run_finished', data: { ...run, status: 'error', error: { code: 'error', message: 'No.' } } }
  ])
})

t.test('nothing of a run that ended in the middle of a message, a call or a tool is continued by the next run', async t => {
  const run = (end: Event): Event[] => [
    { type: EventType.RUN_STARTED, threadId: 't', runId: 'r' },
    { type: EventType.TEXT_MESSAGE_CONTENT, messageId: 'a', delta: 'one' },
    { type: EventType.TOOL_CALL_END, toolCallId: 'c' },
    { type: EventType.TOOL_CALL_RESULT, messageId: 'x', toolCallId: 'd', content: 'found' },
    { type: EventType.TOOL_CALL_START, toolCallId: 'c', toolCallName: 'search' },
    { type: EventType.TOOL_CALL_ARGS, toolCallId: 'c', delta: '{}' },
    { type: EventType.TOOL_CALL_START, toolCallId: 'd', toolCallName: 'search' },
    { type: EventType.TOOL_CALL_END, toolCallId: 'd' },
    end
  ]
  for (const end of [{ type: EventType.RUN_FINISHED, threadId: 't', runId: 'r' }, { type: EventType.RUN_ERROR, message: 'No.' }] as Event[]) {
    const take = fromAgUi()
    const [first, second] = [run(end).flatMap(take), run(end).flatMap(take)]
    t.strictSame(plain(second), plain(first))
    t.match(first.find(({ type }) => type === 'chat_delta'), { data: { at: 0 } })
  }
})

t.test('a snapshot of AG-UI becomes its messages and tools', async t => {
  const { texts, tools } = merged(messagesOf([events.find(({ type }) => type === EventType.MESSAGES_SNAPSHOT)!]))
  t.match(texts, [['u1', { role: 'user', content: 'Hi' }], ['a1', { agent: 'planner', content: 'Let me see' }], ['s1', { role: 'system' }]])
  t.match(tools, [
    ['t3', { name: 'search', args: 'not JSON', status: 'complete', output: 'found' }],
    ['t4', { name: 'now', args: {}, status: 'error', error: { message: 'broken' } }],
    ['unknown', { name: '' }]
  ])
})

t.test('an event in the middle of a run is converted without its earlier events', async t => {
  for (const event of events) t.ok(messagesOf([event]).length > 0)
  const ours = events.flatMap(fromAgUi()).concat({ type: 'tool_call', data: { call_id: 't', name: 'x', args: 1 } }).flatMap(toAgUi({ threadId: 't' }))
  t.ok(ours.length > 0)
  for (const event of ours) t.doesNotThrow(() => messagesOf([event]), event.type)
})

t.test('an event of a later version is carried unchanged', async t => {
  const event = { type: 'NOT_YET', anything: 1 } as unknown as Event
  const messages = messagesOf([event])
  t.same(messages, [{ type: 'ag_ui', data: { event } }])
  t.same(messages.flatMap(toAgUi({ threadId: 't' })), [event])
})

t.test('reasoning and steps of an agent become parts, and their events again, also of merged deltas', async t => {
  const agent: Event[] = [
    { type: EventType.RUN_STARTED, threadId: 't', runId: 'r' },
    { type: EventType.STEP_STARTED, stepName: 'think', timestamp: 1 },
    { type: EventType.REASONING_MESSAGE_START, messageId: 'z', role: 'reasoning' },
    { type: EventType.REASONING_MESSAGE_CONTENT, messageId: 'z', delta: 'one ' },
    { type: EventType.REASONING_MESSAGE_CONTENT, messageId: 'z', delta: 'two' },
    { type: EventType.REASONING_MESSAGE_END, messageId: 'z' },
    { type: EventType.STEP_FINISHED, stepName: 'think' }
  ]
  const messages = messagesOf(agent)
  const reasoning = { message_id: 'z', part_id: 'reasoning', kind: 'reasoning', run_id: 'r' }
  t.same(plain(messages.filter(({ type }) => /^chat_/.test(type))), [
    { type: 'chat_part', data: { message_id: 'r', part_id: '1', kind: 'step', run_id: 'r', name: 'think' } },
    { type: 'chat_part_delta', data: { ...reasoning, at: 0, text: 'one ' } },
    { type: 'chat_part_delta', data: { ...reasoning, at: 4, text: 'two' } },
    { type: 'chat_part', data: { ...reasoning, text: 'one two', status: 'complete' } }
  ])
  const eventsOf = (messages: ChatMessage[]) => messages.flatMap(toAgUi({ threadId: 't' }))
  t.same(eventsOf(messages), agent)

  const whole = { ...agent[3], delta: 'one two' }
  t.same(eventsOf(messages.toSpliced(3, 2)), [...agent.slice(0, 3), whole, ...agent.slice(5)], 'a client that connects late')
  t.same(eventsOf(messages.toSpliced(4, 0, messages[3])), agent, 'a repeated delta')
  t.same(eventsOf(messages.toSpliced(3, 1)).slice(3), [{ ...agent[3], delta: 'one two' }, agent[5], agent[6]], 'without its beginning')
  t.same(messagesOf([agent[1]]), [{ type: 'ag_ui', timestamp: '1970-01-01T00:00:00.001Z', data: { event: agent[1] } }], 'a step outside of a run')
})

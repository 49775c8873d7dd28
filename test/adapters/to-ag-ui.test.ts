import { EventType, type Event } from '@ag-ui/core'
import { EventSchemas } from '@ag-ui/core/schemas'
import t from 'tap'
import { fromAgUi, toAgUi, type ChatMessage } from '../../lib/adapters/ag-ui.js'
import { countAlive } from '../leaks.js'
import { loopTurns } from '../waiting.js'

const eventsOf = (messages: ChatMessage[]) => messages.flatMap(toAgUi({ threadId: 'thread' }))
/** Removes the fields that only a chat has. */
const plain = (events: Event[]) => events.map(({ metadata, ...event }) => event)

t.test('a run of a chat becomes the events of a run in AG-UI', async t => {
  const events = eventsOf([
    { type: 'run_queued', data: { run_id: 'r', ref: 'u' } },
    { type: 'run_started', data: { run_id: 'r', ref: 'u' }, timestamp: '2026-01-01T00:00:00.000Z' },
    { type: 'chat_delta', data: { message_id: 'a', agent: 'planner', at: 0, text: 'one ' } },
    { type: 'chat_delta', data: { message_id: 'a', agent: 'planner', at: 2, text: 'e two' } },
    { type: 'chat_delta', data: { message_id: 'a', agent: 'planner', at: 90, text: 'too far' } },
    { type: 'chat_message', data: { message_id: 'a', agent: 'planner', role: 'assistant', content: 'one two!', status: 'complete' } },
    { type: 'tool_call', data: { call_id: 't', run_id: 'r', name: 'search', args: { q: 1 } } },
    { type: 'tool_progress', data: { call_id: 't', run_id: 'r', progress: 1 } },
    { type: 'tool_output', data: { call_id: 't', run_id: 'r', name: 'search', status: 'complete', output: { found: 2 } } },
    { type: 'tool_output', data: { call_id: 't2', run_id: 'r', name: 'search', status: 'error', error: { code: 'x', message: 'No.' } } },
    { type: 'input_request', data: { request_id: 'q', run_id: 'r', prompt: 'Sure?' } },
    { type: 'input_closed', data: { request_id: 'q', run_id: 'r', reason: 'timeout' } },
    { type: 'run_finished', data: { run_id: 'r', status: 'complete' } }
  ])
  t.same(plain(events), [
    { type: 'CUSTOM', name: 'fastify-realtime.run_queued', value: { run_id: 'r', ref: 'u' } },
    { type: 'RUN_STARTED', threadId: 'thread', runId: 'r', timestamp: 1_767_225_600_000 },
    { type: 'TEXT_MESSAGE_START', messageId: 'a', role: 'assistant', name: 'planner' },
    { type: 'TEXT_MESSAGE_CONTENT', messageId: 'a', delta: 'one ' },
    { type: 'TEXT_MESSAGE_CONTENT', messageId: 'a', delta: 'two' },
    { type: 'TEXT_MESSAGE_CONTENT', messageId: 'a', delta: '!' },
    { type: 'TEXT_MESSAGE_END', messageId: 'a' },
    { type: 'TOOL_CALL_START', toolCallId: 't', toolCallName: 'search' },
    { type: 'TOOL_CALL_ARGS', toolCallId: 't', delta: '{"q":1}' },
    { type: 'TOOL_CALL_END', toolCallId: 't' },
    { type: 'CUSTOM', name: 'fastify-realtime.tool_progress', value: { call_id: 't', run_id: 'r', progress: 1 } },
    { type: 'TOOL_CALL_RESULT', toolCallId: 't', messageId: 't-result', content: '{"found":2}' },
    { type: 'TOOL_CALL_RESULT', toolCallId: 't2', messageId: 't2-result', content: 'No.' },
    { type: 'CUSTOM', name: 'fastify-realtime.input_request', value: { request_id: 'q', run_id: 'r', prompt: 'Sure?' } },
    { type: 'CUSTOM', name: 'fastify-realtime.input_closed', value: { request_id: 'q', run_id: 'r', reason: 'timeout' } },
    { type: 'RUN_FINISHED', threadId: 'thread', runId: 'r', outcome: { type: 'success' } }
  ])
})

t.test('the end of a run becomes RUN_FINISHED or RUN_ERROR with its outcome, even if the run never started', async t => {
  const ends = (status: string, error?: object) => plain(eventsOf([
    { type: 'run_started', data: { run_id: 'r' } },
    { type: 'run_finished', data: { run_id: 'r', status, error } }
  ])).slice(1)
  const run = { threadId: 'thread', runId: 'r' }
  t.same(ends('cancelled'), [{ type: 'RUN_FINISHED', ...run, outcome: { type: 'cancelled' } }])
  t.same(ends('interrupted'), [{ type: 'RUN_ERROR', code: 'interrupted', message: 'interrupted' }])
  t.same(ends('error', { code: 'x', message: 'No.' }), [{ type: 'RUN_ERROR', code: 'x', message: 'No.' }])
  t.same(plain(eventsOf([{ type: 'run_finished', data: { run_id: 'r', status: 'cancelled' } }])),
    [{ type: 'RUN_STARTED', ...run }, { type: 'RUN_FINISHED', ...run, outcome: { type: 'cancelled' } }], 'before it started')
})

t.test('a message whose text is replaced ends and begins again', async t => {
  const message = (content: string) => ({ type: 'chat_message', data: { message_id: 'a', role: 'user', content, status: 'streaming' } })
  const delta = (at: number, text: string) => ({ type: 'chat_delta', data: { message_id: 'a', at, text } })
  const types = (messages: ChatMessage[]) => eventsOf(messages).map(event => 'delta' in event ? event.delta : event.type)
  const [start, end] = [EventType.TEXT_MESSAGE_START, EventType.TEXT_MESSAGE_END]
  t.same(types([message('one'), message('two')]), [start, 'one', end, start, 'two'])
  t.same(types([message('one'), delta(1, 'xy')]), [start, 'one', end, start, 'oxy'])
  t.same(types([message('one'), delta(0, 'one'), delta(0, 'one two')]), [start, 'one', ' two'])
})

t.test('a call that comes with the progress or the output of its tool becomes the same events, and other messages of the app can have a call', async t => {
  const call = { type: 'tool_call', data: { call_id: 't', name: 'search', args: 1 }, timestamp: '2026-01-01T00:00:00.000Z' }
  const progress = { call_id: 't', progress: 1 }
  const output = { call_id: 't', name: 'search', status: 'complete', output: 2 }
  for (const [type, data] of [['tool_progress', progress], ['tool_output', output]] as const) {
    t.strictSame(eventsOf([{ type, data: { ...data, call } }]), eventsOf([call, { type, data }]))
  }
  const hint = { type: 'tool_hint', data: { call: 'the police' } }
  t.match(eventsOf([hint]), [{ type: 'CUSTOM', value: hint.data }])
})

t.test('nothing of a question is kept after its run', async t => {
  const convert = toAgUi({ threadId: 't' })
  const questionOf = (id: string) => {
    const schema = { type: 'object' }
    convert({ type: 'input_request', data: { run_id: id, request_id: `q ${id}`, prompt: '?', schema, ai_sdk: {} } })
    return new WeakRef(schema)
  }
  const schemas = ['r', 's'].map(questionOf)
  convert({ type: 'run_finished', data: { run_id: 'r', status: 'cancelled' } })
  // A WeakRef keeps its target until the end of the turn.
  await loopTurns()
  t.equal(countAlive(schemas), 1, 'that of the run that waits')
  convert({ type: 'run_finished', data: { run_id: 's', status: 'cancelled' } })
  await loopTurns()
  t.equal(countAlive(schemas), 0)
})

t.test('messages without an id become separate messages', async t => {
  const said = { type: 'chat_message', data: { content: 'x' } }
  const events = eventsOf([said, said, { ...said, id: 'c.e.1' } as ChatMessage])
  t.same(events.filter(({ type }) => type === EventType.TEXT_MESSAGE_START).map(event => (event as { messageId: string }).messageId),
    ['message-1', 'message-2', 'c.e.1'])
})

t.test('a run that waits for approvals ends with interrupts, and starts again, and returns from AG-UI as it was', async t => {
  const run = { run_id: 'r' }
  const pause = (partId: string, type: string) => ({ type: 'chat_part', data: { ...run, message_id: 'a', part_id: partId, kind: 'data', name: 'ai_sdk', value: { type } } })
  const schema = { type: 'object' }
  const messages = [
    { type: 'run_started', data: run },
    { type: 'chat_part', data: { ...run, message_id: 'a', part_id: '1', kind: 'step' } },
    { type: 'tool_call', data: { ...run, message_id: 'a', call_id: 'c', name: 'pay', args: { sum: 5 } } },
    { type: 'input_request', data: { ...run, request_id: 'q', prompt: 'Run pay?', schema, call_id: 'c', ai_sdk: { approvalId: 'p' } } },
    pause('2', 'pause'),
    { type: 'input_closed', data: { ...run, request_id: 'q', reason: 'answered' } },
    pause('3', 'continue'),
    { type: 'chat_part', data: { ...run, message_id: 'a', part_id: '4', kind: 'step' } },
    { type: 'run_finished', data: { ...run, status: 'complete' } }
  ]
  const events = messages.flatMap(toAgUi({ threadId: 't' }))
  for (const event of events) t.strictSame(EventSchemas.parse(event), event)
  const interrupts = [{ id: 'q', reason: 'tool_approval', message: 'Run pay?', toolCallId: 'c', responseSchema: schema }]
  t.match(events.filter(({ type }) => /^(RUN|STEP)_/.test(type)), [
    { type: 'RUN_STARTED' }, { type: 'STEP_STARTED', stepName: 'step 1' }, { type: 'STEP_FINISHED' },
    { type: 'RUN_FINISHED', runId: 'r', outcome: { type: 'interrupt', interrupts } }, { type: 'RUN_STARTED', runId: 'r' },
    { type: 'STEP_STARTED', stepName: 'step 2' }, { type: 'STEP_FINISHED' }, { type: 'RUN_FINISHED', outcome: { type: 'success' } }
  ])
  t.same(events.flatMap(fromAgUi()), messages)

  t.comment('a second pause names only the questions that are still open')
  const again = [
    ...messages.slice(0, 7),
    { type: 'input_request', data: { ...run, request_id: 'q2', prompt: 'Run pay again?', call_id: 'c2', ai_sdk: { approvalId: 'p2' } } },
    pause('5', 'pause')
  ].flatMap(toAgUi({ threadId: 't' }))
  t.match(again.at(-1), { type: 'RUN_FINISHED', outcome: { type: 'interrupt', interrupts: [{ id: 'q2' }] } })

  t.comment('a run that is cancelled while it waits starts again before its end')
  const cancelled = [...messages.slice(0, 5), { type: 'run_finished', data: { ...run, status: 'cancelled' } }].flatMap(toAgUi({ threadId: 't' }))
  t.match(cancelled.slice(-2), [{ type: 'RUN_STARTED' }, { type: 'RUN_FINISHED', outcome: { type: 'cancelled' } }])

  t.comment('parts of the AI SDK without questions are custom events')
  t.match([{ type: 'run_started', data: run }, pause('1', 'pause'), pause('2', 'continue'), pause('3', 'other')].flatMap(toAgUi({ threadId: 't' })),
    [{ type: 'RUN_STARTED' }, { type: 'CUSTOM' }, { type: 'CUSTOM' }, { type: 'CUSTOM' }])
})

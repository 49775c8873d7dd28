import { EventType, type Event } from '@ag-ui/core'
import type { ChatMessage } from '../../lib/adapters/ag-ui.js'
import type { Envelope } from '../../lib/index.js'

type Data = Record<string, any>

/** Returns messages as a client receives them: each with its position in the log. */
export function published (messages: ChatMessage[]): Envelope[] {
  return messages.map((message, at) => ({ timestamp: new Date(1_700_000_000_000 + at).toISOString(), ...message, id: `c.e.${at + 1}` }) as Envelope)
}

const error = { code: 'run_failed', message: 'No.' }

/** Chats with every kind of envelope, as the server publishes them. */
export const recorded: Envelope[] = published([
  { type: 'chat_message', data: { message_id: 'u1', role: 'user', content: 'Hi 👋🏽', status: 'complete', user_id: 'ada', locale: 'de' } },
  { type: 'run_queued', data: { run_id: 'r1', message_id: 'u1', user_id: 'ada' } },
  { type: 'run_started', data: { run_id: 'r1', message_id: 'u1', user_id: 'ada' } },
  { type: 'chat_delta', data: { message_id: 'a1', run_id: 'r1', agent: 'planner', at: 0, text: 'Let me ' } },
  { type: 'chat_delta', data: { message_id: 'a2', run_id: 'r1', at: 0, text: 'Meanwhile' } },
  { type: 'chat_delta', data: { message_id: 'a1', run_id: 'r1', agent: 'planner', at: 7, text: 'see \ud83d' } },
  { type: 'chat_delta', data: { message_id: 'a1', run_id: 'r1', agent: 'planner', at: 12, text: '\ude00' } },
  { type: 'chat_message', data: { message_id: 'a1', run_id: 'r1', role: 'assistant', agent: 'planner', content: 'Let me see 😀 more', status: 'streaming' } },
  { type: 'chat_message', data: { message_id: 'a1', run_id: 'r1', role: 'assistant', agent: 'planner', content: 'Let me see 😀 more.', status: 'complete' } },
  { type: 'tool_call', data: { call_id: 't1', run_id: 'r1', name: 'search', args: { q: 'milk', n: [1, null] }, agent: 'planner' } },
  { type: 'tool_progress', data: { call_id: 't1', run_id: 'r1', progress: { done: 0.5 } } },
  { type: 'tool_output', data: { call_id: 't1', run_id: 'r1', name: 'search', status: 'complete', output: { found: 2 } } },
  { type: 'tool_call', data: { call_id: 't2', run_id: 'r1', name: 'now' } },
  { type: 'tool_output', data: { call_id: 't2', run_id: 'r1', name: 'now', status: 'complete', output: 'noon' } },
  { type: 'tool_call', data: { call_id: 't3', run_id: 'r1', name: 'nothing', args: '' } },
  { type: 'tool_output', data: { call_id: 't3', run_id: 'r1', name: 'nothing', status: 'complete' } },
  { type: 'tool_call', data: { call_id: 't4', run_id: 'r1', name: 'fail', args: 7 } },
  { type: 'tool_output', data: { call_id: 't4', run_id: 'r1', name: 'fail', status: 'error', error } },
  { type: 'tool_output', data: { call_id: 't5', run_id: 'r1', name: 'late', status: 'cancelled', output: '' } },
  { type: 'input_request', data: { request_id: 'q1', run_id: 'r1', prompt: 'Sure?', schema: { type: 'boolean' }, component: 'YesNo', expires_at: '2026-01-01T00:00:00Z' } },
  { type: 'input_closed', data: { request_id: 'q1', run_id: 'r1', reason: 'answered', value: true, user_id: 'ada' } },
  { type: 'order_shipped', action: 'created', data: { run_id: 'r1', order: 7 } },
  { type: 'system_announcement', message: 'Soon' },
  { type: 'thinking' },
  { type: 'chat_message', data: { message_id: 'a2', run_id: 'r1', role: 'assistant', content: 'Meanwhile', status: 'complete' } },
  { type: 'chat_part', data: { message_id: 'a6', part_id: 'message', kind: 'message', run_id: 'r1', status: 'streaming' } },
  { type: 'chat_part', data: { message_id: 'a6', part_id: '1', kind: 'step', run_id: 'r1' } },
  { type: 'chat_part_delta', data: { message_id: 'a6', part_id: '2', kind: 'reasoning', run_id: 'r1', agent: 'planner', id: 'z', at: 0, text: '' } },
  { type: 'chat_part_delta', data: { message_id: 'a6', part_id: '2', kind: 'reasoning', run_id: 'r1', agent: 'planner', at: 0, text: 'Hm, ' } },
  { type: 'chat_part_delta', data: { message_id: 'a6', part_id: 't6', kind: 'tool', name: 'search', run_id: 'r1', at: 0, text: '{"q": ' } },
  { type: 'chat_part', data: { message_id: 'a6', part_id: '2', kind: 'reasoning', run_id: 'r1', agent: 'planner', text: 'Hm, hm', status: 'streaming' } },
  { type: 'chat_part', data: { message_id: 'a6', part_id: 't6', kind: 'tool', name: 'search', run_id: 'r1', text: '{"q": 1', status: 'streaming' } },
  { type: 'chat_part', data: { message_id: 'a6', part_id: '2', kind: 'reasoning', run_id: 'r1', agent: 'planner', text: 'Hm, hm.', status: 'complete' } },
  { type: 'chat_part_delta', data: { message_id: 'a6', part_id: 't6', kind: 'tool', name: 'search', run_id: 'r1', at: 7, text: ' }' } },
  { type: 'tool_call', data: { message_id: 'a6', call_id: 't6', name: 'search', run_id: 'r1', args: { q: 1 } } },
  { type: 'tool_output', data: { message_id: 'a6', call_id: 't6', name: 'search', run_id: 'r1', status: 'complete', output: 1 } },
  { type: 'chat_part', data: { message_id: 'a6', part_id: '3', kind: 'step', name: 'write', run_id: 'r1' } },
  { type: 'chat_part', data: { message_id: 'a6', part_id: '4', kind: 'source', value: { url: 'https://a.example' }, run_id: 'r1' } },
  { type: 'chat_part', data: { message_id: 'a6', part_id: '5', kind: 'reasoning', text: '', status: 'cancelled', run_id: 'r1' } },
  { type: 'chat_part_delta', data: { message_id: 'a6', part_id: 't7', kind: 'tool', name: 'search', run_id: 'r1', at: 0, text: '{"q": 2' } },
  { type: 'tool_output', data: { message_id: 'a6', call_id: 't7', name: 'search', run_id: 'r1', status: 'interrupted' } },
  { type: 'chat_delta', data: { message_id: 'a6.1', part_of: 'a6', run_id: 'r1', at: 0, text: 'Done' } },
  { type: 'chat_part_delta', data: { message_id: 'a6', part_id: '6', kind: 'reasoning', run_id: 'r1', at: 0, text: 'never ended' } },
  { type: 'chat_part_delta', data: { message_id: 'a6', part_id: 't8', kind: 'tool', name: 'search', run_id: 'r1', at: 0, text: '' } },
  { type: 'run_finished', data: { run_id: 'r1', message_id: 'u1', status: 'complete' } },

  { type: 'chat_message', data: { role: 'assistant', agent: 'app', content: 'By the way' } },
  { type: 'chat_message', data: { role: 'narrator', content: '' }, timestamp: '2026-01-01T00:00:00Z' },
  { type: 'run_started', data: { run_id: 'r2' } },
  { type: 'chat_message', data: { message_id: 'a3', run_id: 'r2', role: 'assistant', content: '', status: 'streaming' } },
  { type: 'chat_message', data: { message_id: 'a3', run_id: 'r2', role: 'assistant', content: '', status: 'cancelled' } },
  { type: 'run_finished', data: { run_id: 'r2', status: 'cancelled' } },
  { type: 'run_finished', data: { run_id: 'r3', message_id: 'u3', status: 'cancelled' } },
  { type: 'run_started', data: { run_id: 'r4' } },
  { type: 'chat_message', data: { message_id: 'a4', run_id: 'r4', role: 'assistant', content: 'All at once', status: 'error' } },
  { type: 'run_finished', data: { run_id: 'r4', status: 'error', error } },
  { type: 'run_started', data: { run_id: 'r5' } },
  { type: 'chat_message', data: { message_id: 'a5', run_id: 'r5', role: 'assistant', content: 'And', status: 'interrupted' } },
  { type: 'run_finished', data: { run_id: 'r5', status: 'interrupted' } },
  // Has the time of its event.
  { type: 'ag_ui', data: { event: { type: EventType.STEP_STARTED, stepName: 'one', timestamp: 0 } }, timestamp: new Date(0).toISOString() }
])

const more = { timestamp: 1_700_000_000_001, rawEvent: { x: [1] }, metadata: { m: null } }
const ofSubagent = { ...more, subagentRunId: 's1' }

/** Runs with every kind of event except chunks. */
export const events: Event[] = [
  {
    type: EventType.RUN_STARTED,
    ...more,
    threadId: 'other',
    runId: 'r1',
    protocolVersion: '1.0',
    parentRunId: 'r0',
    input: { threadId: 'other', runId: 'r1', messages: [{ id: 'u1', role: 'user', content: 'Hi' }], tools: [], context: [], state: { a: 1 } }
  },
  { type: EventType.STEP_STARTED, ...ofSubagent, stepName: 'one' },
  { type: EventType.REASONING_START, ...ofSubagent, messageId: 'z1' },
  { type: EventType.REASONING_MESSAGE_START, ...more, messageId: 'z1', role: 'reasoning' },
  { type: EventType.REASONING_MESSAGE_CONTENT, messageId: 'z1', delta: 'Hm' },
  { type: EventType.REASONING_MESSAGE_END, messageId: 'z1' },
  { type: EventType.REASONING_MESSAGE_CHUNK, messageId: 'z2', delta: 'Hm, hm' },
  { type: EventType.REASONING_ENCRYPTED_VALUE, subtype: 'message', entityId: 'z1', encryptedValue: 'x' },
  { type: EventType.REASONING_END, messageId: 'z1' },
  { type: EventType.SUBAGENT_STARTED, subagentRunId: 's1', name: 'sub' },
  { type: EventType.TEXT_MESSAGE_START, ...ofSubagent, messageId: 'a1', role: 'assistant', name: 'planner' },
  { type: EventType.TEXT_MESSAGE_CONTENT, ...ofSubagent, messageId: 'a1', delta: 'Let me ' },
  { type: EventType.TOOL_CALL_START, ...ofSubagent, toolCallId: 't1', toolCallName: 'search', parentMessageId: 'a1' },
  { type: EventType.TOOL_CALL_ARGS, ...ofSubagent, toolCallId: 't1', delta: '{"q":' },
  { type: EventType.TEXT_MESSAGE_START, messageId: 'a2' },
  { type: EventType.TEXT_MESSAGE_CONTENT, messageId: 'a1', delta: 'see' },
  { type: EventType.TOOL_CALL_ARGS, toolCallId: 't1', delta: '"milk"}' },
  { type: EventType.TOOL_CALL_END, ...ofSubagent, toolCallId: 't1' },
  { type: EventType.TEXT_MESSAGE_END, ...ofSubagent, messageId: 'a1' },
  { type: EventType.TEXT_MESSAGE_END, messageId: 'a2' },
  { type: EventType.TOOL_CALL_RESULT, ...ofSubagent, messageId: 'x1', toolCallId: 't1', content: 'found', role: 'tool' },
  { type: EventType.TOOL_CALL_START, toolCallId: 't2', toolCallName: 'draw' },
  { type: EventType.TOOL_CALL_END, toolCallId: 't2' },
  { type: EventType.TOOL_CALL_RESULT, messageId: 'x2', toolCallId: 't2', content: [{ type: 'text', text: 'a line' }] },
  { type: EventType.SUBAGENT_FINISHED, subagentRunId: 's1', result: 1, outcome: { type: 'success' } },
  { type: EventType.SUBAGENT_STARTED, subagentRunId: 's2', name: 'sub' },
  { type: EventType.SUBAGENT_ERROR, subagentRunId: 's2', message: 'No.', code: 'no' },
  { type: EventType.STATE_SNAPSHOT, ...ofSubagent, snapshot: { a: null } },
  { type: EventType.STATE_DELTA, delta: [{ op: 'replace', path: '/a', value: 1 }] },
  {
    type: EventType.MESSAGES_SNAPSHOT,
    ...more,
    messages: [
      { id: 'u1', role: 'user', content: [{ type: 'text', text: 'Hi' }, { type: 'image', source: { type: 'url', value: 'data:,x' } }] },
      { id: 'a1', role: 'assistant', name: 'planner', content: 'Let me see', toolCalls: [{ id: 't3', type: 'function', function: { name: 'search', arguments: 'not JSON' } }] },
      { id: 'a9', role: 'assistant', toolCalls: [{ id: 't4', type: 'function', function: { name: 'now', arguments: '{}' } }] },
      { id: 'x3', role: 'tool', toolCallId: 't3', content: 'found' },
      { id: 'x4', role: 'tool', toolCallId: 't4', content: '', error: 'broken' },
      { id: 'x5', role: 'tool', toolCallId: 'unknown', content: 'x' },
      { id: 's1', role: 'system', content: 'Be kind' },
      { id: 'z1', role: 'reasoning', content: 'Hm' },
      { id: 'y1', role: 'activity', activityType: 'plan', content: { a: 1 } }
    ]
  },
  { type: EventType.ACTIVITY_SNAPSHOT, ...ofSubagent, messageId: 'y1', activityType: 'plan', content: { a: 1 }, replace: true },
  { type: EventType.ACTIVITY_DELTA, messageId: 'y1', activityType: 'plan', patch: [{ op: 'remove', path: '/a' }] },
  { type: EventType.RAW, ...ofSubagent, event: { any: 'thing' }, source: 'a model' },
  { type: EventType.CUSTOM, ...ofSubagent, name: 'mine', value: [1, 2] },
  { type: EventType.STEP_FINISHED, stepName: 'one' },
  { type: EventType.RUN_FINISHED, ...more, threadId: 'other', runId: 'r1', result: { ok: true }, outcome: { type: 'success' }, usage: [{ inputTokens: 1 }] },
  { type: EventType.RUN_STARTED, threadId: 't', runId: 'r2' },
  { type: EventType.RUN_FINISHED, threadId: 't', runId: 'r2', outcome: { type: 'cancelled' } },
  { type: EventType.RUN_STARTED, threadId: 't', runId: 'r3' },
  { type: EventType.RUN_FINISHED, threadId: 't', runId: 'r3', outcome: { type: 'interrupt', interrupts: [{ id: 'i1', reason: 'approval' }] } },
  { type: EventType.RUN_STARTED, threadId: 't', runId: 'r4' },
  { type: EventType.RUN_FINISHED, threadId: 't', runId: 'r4' },
  { type: EventType.RUN_STARTED, threadId: 't', runId: 'r5' },
  { type: EventType.RUN_ERROR, ...more, message: 'No.', code: 'no' },
  { type: EventType.RUN_ERROR, message: 'No.' }
]

export const chunks: Event[] = [
  { type: EventType.TEXT_MESSAGE_CHUNK, messageId: 'a1', role: 'assistant', name: 'planner', delta: 'Let ', timestamp: 1 },
  { type: EventType.TEXT_MESSAGE_CHUNK, delta: 'me' },
  { type: EventType.TEXT_MESSAGE_CHUNK, delta: '' },
  { type: EventType.TEXT_MESSAGE_CHUNK, messageId: 'a2' },
  { type: EventType.TOOL_CALL_CHUNK, toolCallId: 't1', toolCallName: 'search', parentMessageId: 'a2', delta: '{"q"' },
  { type: EventType.TOOL_CALL_CHUNK, toolCallId: 't1', delta: ':1}' },
  { type: EventType.TEXT_MESSAGE_CHUNK, delta: 'of no message' },
  { type: EventType.TOOL_CALL_CHUNK, toolCallId: 't2', toolCallName: 'now' },
  { type: EventType.TOOL_CALL_CHUNK },
  { type: EventType.STEP_FINISHED, stepName: 'one' },
  { type: EventType.TOOL_CALL_CHUNK, delta: 'of no call' }
]

/** The events that `chunks` stand for. */
export const unchunked: Event[] = [
  { type: EventType.TEXT_MESSAGE_START, messageId: 'a1', role: 'assistant', name: 'planner', timestamp: 1 },
  { type: EventType.TEXT_MESSAGE_CONTENT, messageId: 'a1', delta: 'Let ', timestamp: 1 },
  { type: EventType.TEXT_MESSAGE_CONTENT, messageId: 'a1', delta: 'me' },
  { type: EventType.TEXT_MESSAGE_END, messageId: 'a1' },
  { type: EventType.TEXT_MESSAGE_START, messageId: 'a2' },
  { type: EventType.TEXT_MESSAGE_END, messageId: 'a2' },
  { type: EventType.TOOL_CALL_START, toolCallId: 't1', toolCallName: 'search', parentMessageId: 'a2' },
  { type: EventType.TOOL_CALL_ARGS, toolCallId: 't1', delta: '{"q"' },
  { type: EventType.TOOL_CALL_ARGS, toolCallId: 't1', delta: ':1}' },
  { type: EventType.TOOL_CALL_END, toolCallId: 't1' },
  { type: EventType.TOOL_CALL_START, toolCallId: 't2', toolCallName: 'now' },
  { type: EventType.TOOL_CALL_END, toolCallId: 't2' },
  { type: EventType.STEP_FINISHED, stepName: 'one' }
]

/** Merges messages into the content that a client shows. */
export function merged (messages: Array<Envelope | ChatMessage>) {
  const texts = new Map<string, Data>()
  const tools = new Map<string, Data>()
  const questions = new Map<string, Data>()
  const runs = new Map<string, Data>()
  const others: unknown[] = []
  const put = (map: Map<string, Data>, id: string, data: Data) => map.set(id, { ...map.get(id), ...data })
  let nameless = 0
  for (const { type, data: given, ...envelope } of messages) {
    const data = given as Data
    switch (type) {
      case 'chat_delta': {
        const before = texts.get(data.message_id)?.content ?? ''
        if (data.at > before.length) break
        const { at, text, message_id: id, ...rest } = data
        put(texts, id, { ...rest, content: before.slice(0, at) + text })
        break
      }
      case 'chat_message': put(texts, data.message_id ?? `nameless ${++nameless}`, data); break
      case 'tool_call':
      case 'tool_progress':
      case 'tool_output': put(tools, data.call_id, data); break
      case 'input_request':
      case 'input_closed': put(questions, data.request_id, data); break
      case 'run_started':
      case 'run_finished': put(runs, data.run_id, data); break
      default: others.push([type, data, envelope.action, envelope.message])
    }
  }
  const rows = (map: Map<string, Data>) => [...map].map(([id, { message_id: _, ...data }]) => [id, data])
  return { texts: rows(texts), tools: rows(tools), questions: rows(questions), runs: rows(runs), others }
}

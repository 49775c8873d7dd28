import { EventType, type Event } from '@ag-ui/core'
import { EventSchemas } from '@ag-ui/core/schemas'
import fc from 'fast-check'
import t from 'tap'
import { toAgUi, type ChatMessage } from '../../lib/adapters/ag-ui.js'
import type { Envelope } from '../../lib/index.js'
import { keyedGrowthOf, grown } from '../../lib/protocol/growth.js'
import { recorded } from './recorded.js'

const eventsOf = (messages: Array<Envelope | ChatMessage>) => messages.flatMap(toAgUi({ threadId: 'thread' }))
/** Removes the fields that only a chat has. */
const plain = (events: Event[]) => events.map(({ metadata, ...event }) => event)
const of = { message_id: 'a', run_id: 'r' }
const delta = (kind: string, partId: string, at: number, text: string) =>
  ({ type: 'chat_part_delta', data: { ...of, part_id: partId, kind, at, text, ...kind === 'tool' && { name: 'find' } } })
const whole = (kind: string, partId: string, text: string, status: string) =>
  ({ type: 'chat_part', data: { ...of, part_id: partId, kind, text, status, ...kind === 'tool' && { name: 'find' } } })
const called = (callId: string, args: unknown) => ({ type: 'tool_call', data: { ...of, call_id: callId, name: 'find', args } })
const step = (partId: string, name?: string) => ({ type: 'chat_part', data: { ...of, part_id: partId, kind: 'step', name } })
const started = { type: 'run_started', data: { run_id: 'r' } }
const finished = (status: string) => ({ type: 'run_finished', data: { run_id: 'r', status } })

/** Kind of what an event begins, continues or ends. */
const kinds: Array<[RegExp, string]> = [
  [/^TEXT_MESSAGE_/, 'text'], [/^REASONING_MESSAGE_/, 'reasoning message'], [/^REASONING_/, 'reasoning'], [/^TOOL_CALL_(?!RESULT)/, 'tool'], [/^STEP_/, 'step']
]

/** Checks the order of events and returns the texts that they write, by kind and id. Throws if an event has no start or no end. */
function written (events: Event[]): Map<string, string> {
  const open = new Set<string>()
  const texts = new Map<string, string>()
  for (const event of events) {
    EventSchemas.parse(event)
    const kind = kinds.find(([pattern]) => pattern.test(event.type))?.[1]
    const { messageId, toolCallId, stepName, delta } = event as Record<string, any>
    const key = `${kind} ${messageId ?? toolCallId ?? stepName}`
    const isStart = /_(START|STARTED)$/.test(event.type)
    if (kind !== undefined && open.has(key) === isStart) throw new Error(`${event.type} of ${key} is out of order`)
    if (kind !== undefined && isStart) texts.set(key, '')
    if (kind !== undefined && isStart) open.add(key)
    if (delta !== undefined) texts.set(key, texts.get(key) + delta)
    if (/_(END|FINISHED)$/.test(event.type)) open.delete(key)
    const isOver = event.type === EventType.RUN_FINISHED || event.type === EventType.RUN_ERROR
    if (isOver && open.size > 0) throw new Error(`${[...open]} is open at the end of its run`)
  }
  return texts
}

t.test('reasoning becomes a span with one reasoning message', async t => {
  const id = 'a:reasoning:1'
  const events = eventsOf([delta('reasoning', '1', 0, ''), delta('reasoning', '1', 0, 'one '), delta('reasoning', '1', 4, 'two'), whole('reasoning', '1', 'one two.', 'complete')])
  t.same(plain(events), [
    { type: 'REASONING_START', messageId: id },
    { type: 'REASONING_MESSAGE_START', messageId: id, role: 'reasoning' },
    { type: 'REASONING_MESSAGE_CONTENT', messageId: id, delta: 'one ' },
    { type: 'REASONING_MESSAGE_CONTENT', messageId: id, delta: 'two' },
    { type: 'REASONING_MESSAGE_CONTENT', messageId: id, delta: '.' },
    { type: 'REASONING_MESSAGE_END', messageId: id },
    { type: 'REASONING_END', messageId: id }
  ])
  t.same(eventsOf([delta('reasoning', '1', 5, 'too far')]), [], 'a delta without the text before it')
})

t.test('a part whose text is replaced ends and begins again', async t => {
  const types = (messages: ChatMessage[]) => eventsOf(messages).map(event => 'delta' in event ? event.delta : event.type)
  const starts = ['REASONING_START', 'REASONING_MESSAGE_START']
  const ends = ['REASONING_MESSAGE_END', 'REASONING_END']
  t.same(types([delta('reasoning', '1', 0, 'one'), delta('reasoning', '1', 1, 'xy')]), [...starts, 'one', ...ends, ...starts, 'oxy'])
  t.same(types([delta('tool', 't', 0, '{"q'), called('t', [])]), ['TOOL_CALL_START', '{"q', 'TOOL_CALL_END', 'TOOL_CALL_START', '[]', 'TOOL_CALL_END'])
})

t.test('arguments of a tool grow, and its call adds only the rest', async t => {
  const types = (...messages: ChatMessage[]) => eventsOf(messages).map(event => 'delta' in event ? event.delta : event.type)
  t.same(plain(eventsOf([delta('tool', 't', 0, '{"q"')])), [
    { type: 'TOOL_CALL_START', toolCallId: 't', toolCallName: 'find', parentMessageId: 'a' },
    { type: 'TOOL_CALL_ARGS', toolCallId: 't', delta: '{"q"' }
  ])
  t.same(types(delta('tool', 't', 0, '{"q"'), called('t', { q: 1 })), ['TOOL_CALL_START', '{"q"', ':1}', 'TOOL_CALL_END'])
  t.same(types(delta('tool', 't', 0, '{ "q": 1 }'), called('t', { q: 1 })), ['TOOL_CALL_START', '{ "q": 1 }', 'TOOL_CALL_END'], 'with spaces')
  t.same(types(whole('tool', 't', '{"q":1}', 'complete'), called('t', { q: 1 })), ['TOOL_CALL_START', '{"q":1}', 'TOOL_CALL_END'], 'complete before the call')
  t.same(types(whole('tool', 't', '{"q"', 'streaming'), { type: 'tool_output', data: { ...of, call_id: 't', status: 'error' } }),
    ['TOOL_CALL_START', '{"q"', 'TOOL_CALL_END', 'TOOL_CALL_RESULT'], 'without a call')
})

t.test('a step is finished by the next one, or by the end of its run', async t => {
  const steps = eventsOf([started, step('1'), step('2', 'write'), finished('complete'), started, step('3'), finished('error')])
  t.same(steps.map(event => 'stepName' in event ? [event.type, event.stepName] : event.type), [
    'RUN_STARTED', ['STEP_STARTED', 'step 1'], ['STEP_FINISHED', 'step 1'], ['STEP_STARTED', 'write'], ['STEP_FINISHED', 'write'], 'RUN_FINISHED',
    'RUN_STARTED', ['STEP_STARTED', 'step 1'], ['STEP_FINISHED', 'step 1'], 'RUN_ERROR'
  ])
})

t.test('everything that is open in a run ends before the run does, and nothing of another run', async t => {
  const text = (id: string, runId: string) => ({ type: 'chat_delta', data: { message_id: id, run_id: runId, at: 0, text: 'x' } })
  for (const status of ['complete', 'cancelled', 'error', 'interrupted']) {
    const events = eventsOf([text('other', 'r2'), started, text('a', 'r'), delta('reasoning', '1', 0, 'x'), delta('tool', 't', 0, '{'), step('2'), finished(status)])
    t.same(events.slice(-6).map(({ type }) => type), [
      'TEXT_MESSAGE_END', 'REASONING_MESSAGE_END', 'REASONING_END', 'TOOL_CALL_END', 'STEP_FINISHED', status === 'error' || status === 'interrupted' ? 'RUN_ERROR' : 'RUN_FINISHED'
    ], status)
  }
})

t.test('sources, files, data and whole messages become CUSTOM events named after their type', async t => {
  for (const kind of ['source', 'file', 'data', 'message']) {
    const data = { ...of, part_id: '1', kind, value: 1 }
    t.same(plain(eventsOf([{ type: 'chat_part', data }])), [{ type: 'CUSTOM', name: 'fastify-realtime.chat_part', value: data }], kind)
  }
})

t.test('the events of a recorded chat are in order', async t => {
  t.equal(written(eventsOf(recorded)).get('reasoning message a:reasoning:1'), undefined)
  t.equal(written(eventsOf(recorded)).get('reasoning message a6:reasoning:2'), 'Hm, hm.')
})

t.test('the events of any chat are in order, write its texts, and leave nothing open when its run ends', async t => {
  const id = fc.constantFrom('1', '2')
  const kind = fc.constantFrom('reasoning', 'tool')
  const text = fc.constantFrom('', 'a', 'b', 'ab', 'aba')
  const at = fc.nat(3)
  const message = fc.oneof(
    fc.tuple(kind, id, at, text).map(([kind, id, at, text]) => delta(kind, kind + id, at, text)),
    fc.tuple(kind, id, text, fc.constantFrom('streaming', 'complete')).map(([kind, id, text, status]) => whole(kind, kind + id, text, status)),
    fc.tuple(id, at, text).map(([id, at, text]) => ({ type: 'chat_delta', data: { message_id: id, run_id: 'r', at, text } })),
    fc.tuple(id, fc.constantFrom(undefined, 'a', 'ab')).map(([id, args]) => called(`tool${id}`, args)),
    id.map(id => ({ type: 'tool_output', data: { ...of, call_id: `tool${id}`, status: 'complete' } })),
    id.map(id => step(id))
  )
  await t.resolves(fc.assert(fc.asyncProperty(fc.array(message, { maxLength: 25 }), fc.constantFrom('complete', 'cancelled', 'error'), async (messages, status) => {
    const texts = new Map<string, string>()
    for (const { type, data } of messages) {
      const growth = keyedGrowthOf(type, data)
      if (growth === undefined || !('kind' in data) || data.kind !== 'reasoning') continue
      const text = grown(texts.get(growth.key), growth)
      // A part that has ended begins again with its next text.
      if (text !== undefined) texts.set(growth.key, text)
      if (!growth.isOpen) texts.delete(growth.key)
    }
    const shown = written(eventsOf([started, ...messages, finished(status)]))
    for (const [key, text] of texts) {
      const last = shown.get(`reasoning message a:reasoning:${key.split(' ').at(-1)}`)!
      if (!last.startsWith(text)) throw new Error(`'${last}' instead of '${text}'`)
    }
  }), { numRuns: 300 }))
})

import { EventType, type Event } from '@ag-ui/core'
import t from 'tap'
import { agUiSource } from '../../lib/adapters/ag-ui.js'
import type { AnswerPart, ModelResponse } from '../../lib/index.js'
import { events, chunks } from './recorded.js'

async function * yielding (events: Event[]): AsyncGenerator<Event> {
  yield * events
}

const respond = (events: unknown[], type = 'text/event-stream; charset=utf-8', status = 200) =>
  new Response(events.map(event => `data: ${JSON.stringify(event)}\n\n`).join(''), { status, headers: { 'content-type': type } })

/** Parts until the end or the error. */
async function read (agent: ModelResponse | AsyncIterable<Event>): Promise<{ parts: AnswerPart[], error?: string }> {
  const parts: AnswerPart[] = []
  try {
    for await (const part of agUiSource(agent)) parts.push(part)
    return { parts }
  } catch (error) {
    return { parts, error: (error as Error).message }
  }
}

const finished: Event = { type: EventType.RUN_FINISHED, threadId: 't', runId: 'r' }

t.test('an agent over HTTP becomes the parts of an answer', async t => {
  const agent: Event[] = [
    { type: EventType.RUN_STARTED, threadId: 't', runId: 'r' },
    { type: EventType.STEP_STARTED, stepName: 'one' },
    { type: EventType.REASONING_START, messageId: 'z' },
    { type: EventType.REASONING_MESSAGE_CONTENT, messageId: 'z', delta: 'Hm' },
    { type: EventType.REASONING_END, messageId: 'z' },
    { type: EventType.TEXT_MESSAGE_CONTENT, messageId: 'a', delta: 'Let me ' },
    { type: EventType.TEXT_MESSAGE_CONTENT, messageId: 'a', delta: 'see' },
    { type: EventType.TOOL_CALL_START, toolCallId: 'c', toolCallName: 'find' },
    { type: EventType.TOOL_CALL_ARGS, toolCallId: 'c', delta: '{"q":' },
    { type: EventType.TOOL_CALL_ARGS, toolCallId: 'c', delta: '1}' },
    { type: EventType.TOOL_CALL_END, toolCallId: 'c' },
    { type: EventType.TOOL_CALL_RESULT, messageId: 'x', toolCallId: 'c', content: 'found' },
    { type: EventType.CUSTOM, name: 'map', value: { lat: 1 } },
    { type: EventType.STEP_FINISHED, stepName: 'one' },
    finished,
    { type: EventType.TEXT_MESSAGE_CONTENT, messageId: 'a', delta: 'late' }
  ]
  const parts = [
    { kind: 'step' },
    { kind: 'reasoning', text: 'Hm' },
    { kind: 'text', text: 'Let me ' }, { kind: 'text', text: 'see' },
    { kind: 'tool', id: 'c', name: 'find', text: '' },
    { kind: 'tool', id: 'c', text: '{"q":' }, { kind: 'tool', id: 'c', text: '1}' }, { kind: 'tool', id: 'c', args: { q: 1 } },
    { kind: 'tool', id: 'c', output: 'found' },
    { kind: 'data', name: 'map', value: { lat: 1 } }
  ]
  t.strictSame(await read(respond(agent)), { parts })
  t.strictSame(await read(yielding(agent)), { parts }, 'its events')
})

t.test('chunks become the same parts as the events that they stand for', async t => {
  const { parts } = await read(yielding([...chunks, finished]))
  t.strictSame(parts, [
    { kind: 'text', text: 'Let ' }, { kind: 'text', text: 'me' },
    { kind: 'tool', id: 't1', name: 'search', text: '' }, { kind: 'tool', id: 't1', text: '{"q"' }, { kind: 'tool', id: 't1', text: ':1}' },
    { kind: 'tool', id: 't1', args: { q: 1 } },
    { kind: 'text', text: 'of no message' },
    { kind: 'tool', id: 't2', name: 'now', text: '' }, { kind: 'tool', id: 't2', args: {} }
  ])
  const next: Event[] = ['t1', 't2'].map(toolCallId => ({ type: EventType.TOOL_CALL_CHUNK, toolCallId, delta: '1' }))
  t.match(await read(yielding([...next, finished])), {
    parts: [{ id: 't1', name: 'tool' }, { id: 't1' }, { id: 't1', args: 1 }, { id: 't2' }, { id: 't2' }, { id: 't2', args: 1 }]
  })
})

t.test('an empty line separates messages that follow each other', async t => {
  const text = (messageId: string, delta: string): Event => ({ type: EventType.TEXT_MESSAGE_CONTENT, messageId, delta })
  const step: Event = { type: EventType.STEP_STARTED, stepName: 'one' }
  const reasoning: Event = { type: EventType.REASONING_MESSAGE_CHUNK, delta: 'Hm' }
  const { parts } = await read(yielding([text('a', '1'), text('b', ''), text('b', '2'), text('b', '3'), step, text('c', '4'), reasoning, reasoning, finished]))
  t.same(parts.map(part => 'text' in part ? part.text : part.kind), ['1', '\n\n2', '3', 'step', '4', 'Hm', 'Hm'])
})

t.test('arguments that are not JSON fail the call, and events of unknown calls are ignored', async t => {
  const { parts } = await read(yielding([
    { type: EventType.TOOL_CALL_START, toolCallId: 'c', toolCallName: 'find' },
    { type: EventType.TOOL_CALL_ARGS, toolCallId: 'c', delta: '{' },
    { type: EventType.TOOL_CALL_ARGS, toolCallId: 'c', delta: '' },
    { type: EventType.TOOL_CALL_END, toolCallId: 'c' },
    { type: EventType.TOOL_CALL_ARGS, toolCallId: 'other', delta: '{' },
    { type: EventType.TOOL_CALL_END, toolCallId: 'other' },
    { type: EventType.TOOL_CALL_RESULT, messageId: 'x', toolCallId: 'other', content: 'x' },
    finished
  ]))
  t.match(parts, [{ name: 'find' }, { text: '{' }, { error: { code: 'invalid_input' } }])
  t.equal(parts.length, 3)
})

t.test('interrupts of an agent are data', async t => {
  const interrupts = [{ id: 'i1', reason: 'approval' }]
  t.strictSame(await read(yielding([{ ...finished, outcome: { type: 'interrupt', interrupts } } as Event])), { parts: [{ kind: 'data', name: 'interrupts', value: interrupts }] })
})

t.test('an agent that fails, breaks off or sends no events is an error', async t => {
  const text: Event = { type: EventType.TEXT_MESSAGE_CHUNK, messageId: 'a', delta: 'Hi' }
  const parts = [{ kind: 'text', text: 'Hi' }]
  t.strictSame(await read(respond([text, { type: EventType.RUN_ERROR, message: 'No.', code: 'no' }])), { parts, error: 'the agent failed: no: No.' })
  t.strictSame(await read(yielding([text, { type: EventType.RUN_ERROR, message: 'No.' }])), { parts, error: 'the agent failed: No.' })
  t.strictSame(await read(respond([text])), { parts, error: "the agent's answer broke off: it ended without RUN_FINISHED" })
  t.strictSame(await read(new Response('busy', { status: 503 })), { parts: [], error: 'the agent answered 503: busy' })
  t.strictSame(await read(new Response('x'.repeat(501), { status: 500 })), { parts: [], error: `the agent answered 500: ${'x'.repeat(500)}` })
  t.strictSame(await read(new Response('', { headers: { 'content-type': 'see text/event-stream' } })), {
    parts: [], error: "the agent answered with 'see text/event-stream' instead of 'text/event-stream': "
  })
  t.strictSame(await read(new Response(null, { status: 204 })), { parts: [], error: "the agent answered with '' instead of 'text/event-stream': " })
  t.strictSame(await read(Response.json({})), { parts: [], error: "the agent answered with 'application/json' instead of 'text/event-stream': {}" })
})

t.test('events of every kind are accepted', async t => {
  const run = events.slice(0, events.findIndex(({ type }) => type === EventType.RUN_FINISHED) + 1)
  const { parts, error } = await read(yielding(run))
  t.equal(error, undefined)
  t.ok(parts.length > 5)
})

t.test('a source that is stopped cancels the response, even before its first event', async t => {
  for (const isRead of [false, true]) {
    let isCancelled = false
    const body = new ReadableStream<Uint8Array>({
      start: controller => controller.enqueue(new TextEncoder().encode(`data: ${JSON.stringify({ type: 'STEP_STARTED', stepName: 'one' })}\n\n`)),
      cancel: () => { isCancelled = true }
    })
    const source = agUiSource(new Response(body, { headers: { 'content-type': 'text/event-stream' } }))[Symbol.asyncIterator]()
    if (isRead) await source.next()
    await source.return!()
    t.ok(isCancelled, `${isRead}`)
  }
  await agUiSource(yielding([]))[Symbol.asyncIterator]().return!()
})

import t from 'tap'
import { FollowedRun } from '../../../lib/adapters/ai-sdk/run.js'
import type { RunPart } from '../../../lib/adapters/ai-sdk/run-parts.js'

/** Returns a run, and a record of the calls to its reader. */
function runOf () {
  const run = new FollowedRun('r', 'u')
  const told: RunPart[] = []
  let ends = 0
  let starts = 0
  run.readers.add({ started: () => { starts++ }, changed: part => told.push(part), paused: () => {}, ended: () => { ends++ } })
  const apply = (type: string, data: object, id?: string) => run.apply({ type, data: { run_id: 'r', ...data }, id, timestamp: '' } as never)
  const delta = (at: number, text: string) => apply('chat_delta', { message_id: 'a', at, text })
  const message = (content: string, status: string) => apply('chat_message', { message_id: 'a', content, status })
  const texts = () => run.parts.map(part => part.kind === 'text' ? part.text : part.kind)
  return { run, told, starts: () => starts, ends: () => ends, apply, delta, message, texts }
}

t.test('a queued run has not started until another envelope than run_queued arrives', async t => {
  for (const [type, data] of Object.entries({ run_started: {}, run_finished: { status: 'cancelled' }, chat_delta: { message_id: 'a', at: 0, text: 'x' } })) {
    const { run, apply, starts } = runOf()
    apply('run_queued', {})
    t.strictSame([run.isQueued, starts(), run.parts.length], [true, 0, 0])
    apply(type, data)
    apply('run_queued', {})
    apply(type, data)
    t.strictSame([run.isQueued, starts()], [false, 1], type)
  }
})

t.test('messages, tools, questions and messages of the app with equal ids are separate parts', async t => {
  const { run, apply } = runOf()
  const message = (id: string, content: string) => apply('chat_message', { message_id: id, content, status: 'complete' })
  message('a', 'one')
  message('a', 'two')
  message('a~1', 'three')
  apply('tool_call', { call_id: 'x', name: 't' })
  apply('input_request', { request_id: 'x', prompt: 'p' })
  apply('app', {}, 'x')
  apply('tool_output', { call_id: 'x', status: 'complete' })
  apply('input_closed', { request_id: 'x', reason: 'answered' })
  t.match(run.parts, [
    { text: 'one' }, { text: 'two' }, { text: 'three' },
    { kind: 'tool', outcome: { status: 'complete' } }, { type: 'input_request', data: { closed: { reason: 'answered' } } }, { type: 'app' }
  ])
  t.equal(new Set(run.parts.slice(0, 3).map(part => (part as { id: string }).id)).size, 3)
})

t.test('deltas in order, repeated or too early, and snapshots, result in the text once', async t => {
  const { run, told, delta, message, texts } = runOf()
  delta(0, 'one ')
  delta(4, 'two ')
  const changes = told.length
  delta(0, 'one ')
  delta(4, 'two ')
  delta(2, '')
  delta(90, 'no')
  message('one', 'streaming')
  t.equal(told.length, changes, 'an envelope without a change is not reported')
  delta(4, 'two three ')
  message('one two three four', 'streaming')
  delta(18, '.')
  t.strictSame(texts(), ['one two three four.'])
  t.match(run.parts, [{ isDone: false }])
  message('one two three four.', 'complete')
  t.match(run.parts, [{ id: 'a', isDone: true, isReplaced: false }])
  const all = told.length
  message('one two three four.', 'complete')
  t.equal(told.length, all)
})

t.test('a text that replaces another one is another part', async t => {
  const { run, message, delta, texts } = runOf()
  message('one', 'streaming')
  message('two', 'streaming')
  delta(1, 'o')
  delta(2, '!')
  message('to', 'complete')
  t.strictSame(texts(), ['one', 'two', 'to!', 'to'])
  t.match(run.parts.map(part => [(part as { isReplaced: boolean }).isReplaced, (part as { isDone: boolean }).isDone]),
    [[true, true], [true, true], [true, true], [false, true]])
  t.equal(new Set(run.parts.map(part => (part as { id: string }).id)).size, 4)
})

t.test('messages of users are omitted, and messages without an id are separate parts', async t => {
  const { run, apply, texts } = runOf()
  apply('chat_message', { message_id: 'u', role: 'user', content: 'hi' }, 'c.e.1')
  apply('chat_message', { content: 'one' }, 'c.e.2')
  apply('chat_message', { content: 'two' }, 'c.e.3')
  t.strictSame(texts(), ['one', 'two'])
  t.match(run.parts, [{ id: 'c.e.2', isDone: true }, { id: 'c.e.3', isDone: true }])
})

t.test('a tool whose call comes with its progress or its output is the same part', async t => {
  const call = { call_id: 't', name: 'x', args: 1, ai_sdk: { providerMetadata: { of: 'call' } } }
  const progress = { call_id: 't', progress: 0.5, ai_sdk: {} }
  const output = { call_id: 't', name: 'x', status: 'complete', output: 2, ai_sdk: { providerMetadata: { of: 'output' } } }
  const parts = (...publications: Array<[string, object]>) => {
    const { run, apply } = runOf()
    for (const publication of publications) apply(...publication)
    return run.parts.map(({ isMerged: _, ...part }: any) => part)
  }
  const missed = { call: { type: 'tool_call', data: call, timestamp: '' } }
  t.strictSame(parts(['tool_progress', { ...progress, ...missed }]), parts(['tool_call', call], ['tool_progress', progress]))
  t.strictSame(parts(['tool_output', { ...output, ...missed }]), parts(['tool_call', call], ['tool_output', output]))
})

t.test('tools, questions and messages of the app that are replayed are parts once', async t => {
  const { run, told, apply } = runOf()
  for (let times = 0; times < 2; times++) {
    apply('tool_call', { call_id: 't', name: 'x', args: 1 })
    apply('tool_progress', { call_id: 't', progress: times })
    apply('tool_progress', { call_id: 'unknown', progress: 1 })
    apply('tool_output', { call_id: 't', name: 'x', status: 'complete', output: 2 })
    apply('tool_output', { call_id: 'late', name: 'y', status: 'error', error: { message: 'No.' } })
    apply('input_closed', { request_id: 'unknown', reason: 'timeout' })
    apply('input_request', { request_id: 'q', prompt: '?' })
    apply('input_closed', { request_id: 'q', reason: 'timeout' })
    apply('mine', { a: 1 }, 'c.e.9')
  }
  t.same(run.parts, [
    { kind: 'tool', callId: 't', name: 'x', args: 1, agent: undefined, isCalled: true, progress: 0, outcome: { status: 'complete', output: 2 } },
    { kind: 'tool', callId: 'late', name: 'y', outcome: { status: 'error', error: { message: 'No.' } } },
    { kind: 'data', type: 'input_request', id: 'q', data: { request_id: 'q', prompt: '?', closed: { reason: 'timeout' } } },
    { kind: 'data', type: 'mine', id: 'c.e.9', data: { a: 1 } }
  ])
  t.equal(told.length, 3 + 1 + 2 + 1)
})

t.test('a run ends once, and later envelopes are ignored', async t => {
  const { run, ends, apply, delta, texts } = runOf()
  apply('run_started', {})
  delta(0, 'text')
  apply('run_finished', { status: 'error', error: { code: 'x' } })
  apply('run_finished', { status: 'complete' })
  delta(4, 'late')
  t.strictSame(run.outcome, { status: 'error', error: { code: 'x' } })
  t.strictSame(texts(), ['text'])
  t.match(run.parts, [{ isDone: true }])
  t.equal(ends(), 1)
})

t.test('a run of more than 10,000 parts ends with too_big', async t => {
  const { run, ends, apply } = runOf()
  for (let n = 0; n < 11_000; n++) {
    apply('mine', {}, `c.e.${n}`)
    apply('chat_message', { content: 'x' }, `c.f.${n}`)
  }
  t.equal(run.parts.length, 10_000)
  t.match(run.outcome, { status: 'error', error: { code: 'too_big' } })
  t.equal(ends(), 1)
})

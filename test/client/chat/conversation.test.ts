import fc from 'fast-check'
import t from 'tap'
import { Conversation } from '../../../lib/client/chat/conversation.js'
import { insertPage } from '../../../lib/client/chat/history.js'
import type { Envelope } from '../../../lib/client/index.js'
import { at, conversation, delta, ids, messages, pending, publication, texts, type Publication } from './conversation.js'

t.test('the messages, tool calls and questions of a run are items in order', async t => {
  const chat = conversation(
    ['chat_message', { message_id: 'm1', role: 'user', content: 'Hi', user_id: 'ada', status: 'complete' }, 1],
    ['run_started', { run_id: 'r', message_id: 'm1', user_id: 'ada' }, 2],
    [...delta('a1', 0, 'Let me '), 3],
    [...delta('a1', 7, 'look'), 4],
    ['tool_call', { call_id: 't1', run_id: 'r', name: 'search', args: { q: 'x' } }, 5],
    ['tool_progress', { call_id: 't1', run_id: 'r', progress: 0.5 }, 6])
  t.strictSame(chat.runs, ['r'])
  t.strictSame(chat.items.map(item => ({ ...item })), [
    { kind: 'message', id: 'm1', role: 'user', agent: undefined, text: 'Hi', status: 'complete', userId: 'ada', runId: undefined, createdAt: at(1), data: undefined },
    { kind: 'message', id: 'a1', role: 'assistant', agent: 'a', text: 'Let me look', status: 'streaming', runId: 'r', createdAt: at(3) },
    { kind: 'tool', id: 't1', runId: 'r', name: 'search', args: { q: 'x' }, status: 'running', progress: 0.5, createdAt: at(5) }
  ])
  const [user] = chat.items
  chat.apply(publication('tool_output', { call_id: 't1', run_id: 'r', name: 'search', status: 'complete', output: [1] }, 7))
  chat.apply(publication('input_request', { request_id: 'q1', run_id: 'r', prompt: 'Which?', schema: { type: 'string' }, expires_at: at(99) }, 8))
  t.match(chat.question, { id: 'q1', prompt: 'Which?', schema: { type: 'string' }, expiresAt: at(99), status: 'open' })
  chat.apply(publication('input_closed', { request_id: 'q1', run_id: 'r', reason: 'answered', value: 'b', user_id: 'ada' }, 9))
  t.equal(chat.question, undefined)
  chat.apply(publication('chat_message', { message_id: 'a1', run_id: 'r', role: 'assistant', agent: 'a', content: 'Let me look!', status: 'complete' }, 10))
  chat.apply(publication('run_finished', { run_id: 'r', message_id: 'm1', status: 'complete' }, 11))
  t.match(chat.items.slice(1), [
    { id: 'a1', text: 'Let me look!', status: 'complete', createdAt: at(3) },
    { id: 't1', status: 'complete', output: [1], args: { q: 'x' } },
    { id: 'q1', status: 'answered', value: 'b', userId: 'ada' }
  ])
  t.equal(chat.items[0], user, 'an unchanged item is the same object')
  t.equal(chat.items, chat.items)
  t.strictSame(chat.runs, [])
  t.equal(chat.apply(publication('of_the_app', {})), false)
})

t.test('a delta is applied if it leaves no gap in the text, and not after the end of its message', async t => {
  t.strictSame(texts(conversation(delta('a', 3, 'later'))), [], 'the beginning is missing')
  t.strictSame(texts(conversation(delta('a', 0, 'abcdef'), delta('a', 2, 'XY'))), ['abXY: streaming'])
  t.strictSame(texts(conversation(delta('a', 0, 'ab'), delta('a', 3, 'd'))), ['ab: streaming'], 'a delta after a gap is ignored')
  const done = conversation(delta('a', 0, 'ab'), ['chat_message', { message_id: 'a', content: 'abc', status: 'cancelled' }], delta('a', 0, 'x'))
  t.strictSame(texts(done), ['abc: cancelled'], 'a delta after the end is ignored')
  const snapshot = conversation(['chat_message', { message_id: 'a', run_id: 'r', content: 'abc', status: 'streaming' }])
  t.strictSame(snapshot.runs, ['r'])
  snapshot.apply(publication(...delta('a', 3, 'd')))
  t.strictSame(texts(snapshot), ['abcd: streaming'])
})

t.test('messages without an id are separate items, and their other fields are kept', async t => {
  const chat = conversation(['chat_message', { content: 'x', agent: 'a' }], ['chat_message', { content: 'x', files: [1] }])
  t.match(messages(chat), [{ text: 'x', role: 'assistant', agent: 'a', status: 'complete' }, { text: 'x', data: { files: [1] } }])
  t.equal(new Set(ids(chat)).size, 2)
})

t.test('a sent message is one item: pending after all others, then at its place in the log', async t => {
  const chat = conversation(['run_started', { run_id: 'r0' }])
  chat.error = { code: 'x', message: '' }
  chat.send(pending('m1', 'Hi'))
  chat.send(pending('m1', 'Hi'))
  t.equal(chat.error, undefined)
  t.strictSame(chat.submitted, ['m1'])
  chat.apply(publication(...delta('a0', 0, 'of before')))
  t.strictSame(texts(chat), ['of before: streaming', 'Hi: pending'])
  chat.apply(publication('chat_message', { message_id: 'm1', role: 'user', content: 'Hi', user_id: 'ada' }, 5))
  chat.apply(publication('tool_call', { call_id: 't', run_id: 'r0', name: 'n' }))
  chat.accept('m1')
  t.strictSame(ids(chat), ['a0', 'm1', 't'])
  t.match(chat.items[1], { status: 'complete', createdAt: at(5) })
  t.strictSame(chat.submitted, ['m1'], 'its run is queued')
  chat.apply(publication('run_started', { run_id: 'r1', message_id: 'm1' }))
  t.strictSame(chat.submitted, [])
  chat.send(pending('m1', 'Hi'))
  t.strictSame(chat.submitted, [], 'it was already sent')
  chat.send(pending('m2'))
  chat.accept('m2')
  chat.apply(publication('run_finished', { run_id: 'r2', message_id: 'm2', status: 'cancelled' }))
  t.strictSame(chat.submitted, [], 'a run that was cancelled before it started')
})

t.test('a waiting run is queued until it starts or ends, and repeated publications have no effect', async t => {
  const chat = new Conversation(async () => {})
  const state = () => [chat.submitted, chat.runs, chat.isStreaming]
  chat.send(pending('m1'))
  t.strictSame(state(), [['m1'], [], false])
  for (let n = 0; n < 2; n++) {
    chat.apply(publication('run_queued', { run_id: 'r1', message_id: 'm1' }))
    chat.apply(publication('run_queued', { run_id: 'r2', message_id: 'bob/m1' }))
    t.strictSame(state(), [[], ['r1', 'r2'], false])
  }
  chat.error = { code: 'x', message: '' }
  chat.apply(publication('run_queued', { run_id: 'r2' }))
  t.ok(chat.error, 'until the next run starts')
  chat.apply(publication('run_started', { run_id: 'r1', message_id: 'm1' }))
  t.equal(chat.error, undefined)
  chat.apply(publication('run_queued', { run_id: 'r1', message_id: 'm1' }))
  t.strictSame(state(), [[], ['r1', 'r2'], true])
  chat.apply(publication('run_finished', { run_id: 'r1', status: 'complete' }))
  t.strictSame(state(), [[], ['r2'], false])
  chat.apply(publication('chat_delta', { message_id: 'a', run_id: 'r2', at: 0, text: 'x' }))
  t.strictSame(state(), [[], ['r2'], true], 'a publication of a run marks it as active')
  chat.apply(publication('run_queued', { run_id: 'r3' }))
  chat.apply(publication('run_finished', { run_id: 'r3', status: 'cancelled' }))
  t.strictSame(chat.runs, ['r2'])
  chat.apply(publication('run_queued', { run_id: 'r4' }))
  chat.doubt()
  t.strictSame(state(), [[], [], false], 'after a loss the runs are unknown')
})

t.test('the message of a user is queued while its run waits, and has the outcome of a run that ended before its start', async t => {
  const chat = new Conversation(async () => {})
  const m1 = () => chat.apply(publication('chat_message', { message_id: 'm1', role: 'user', content: 'm1', user_id: 'bob' }))
  const statuses = () => messages(chat).map(({ id, status }) => `${id} ${status}`)
  for (let n = 0; n < 2; n++) {
    m1()
    chat.apply(publication('run_queued', { run_id: 'r1', message_id: 'm1' }))
    t.strictSame(statuses(), ['m1 queued'])
    const { items } = chat
    m1()
    chat.apply(publication('run_queued', { run_id: 'r1', message_id: 'm1' }))
    t.equal(chat.items, items, 'repeated publications have no effect')
    t.equal(chat.runOf('m1'), 'r1')
    chat.apply(publication('run_finished', { run_id: 'r1', message_id: 'm1', status: 'cancelled' }))
    t.strictSame(statuses(), ['m1 cancelled'])
    t.equal(chat.runOf('m1'), undefined)
  }
  m1()
  chat.apply(publication('run_queued', { run_id: 'r2', message_id: 'm1' }))
  chat.apply(publication('run_started', { run_id: 'r2', message_id: 'm1' }))
  chat.apply(publication('run_queued', { run_id: 'r2', message_id: 'm1' }))
  t.strictSame(statuses(), ['m1 complete'], 'its run has started')
  chat.apply(publication('run_finished', { run_id: 'r2', message_id: 'm1', status: 'cancelled' }))
  t.strictSame(statuses(), ['m1 complete'], 'the message was answered')
  chat.apply(publication('run_queued', { run_id: 'r3', message_id: 'm2' }))
  chat.apply(publication('run_queued', { run_id: 'r4' }))
  chat.send(pending('m2'))
  t.strictSame(statuses(), ['m1 complete', 'm2 pending'])
  chat.accept('m2')
  t.strictSame(statuses(), ['m1 complete', 'm2 queued'], 'announced while it was saved')
  chat.apply(publication('run_finished', { run_id: 'r3', message_id: 'm2', status: 'error', error: { code: 'E', message: 'e' } }))
  t.match(messages(chat)[1], { status: 'error', error: { code: 'E' } })
  chat.send(pending('m3'))
  chat.accept('m3')
  chat.apply(publication('run_finished', { run_id: 'r5', message_id: 'm3', status: 'cancelled' }))
  t.strictSame(statuses()[2], 'm3 cancelled', 'a run that was never announced has not started')
  chat.apply(publication('chat_message', { message_id: 'm4', role: 'user', content: 'm4' }))
  chat.apply(publication('run_queued', { run_id: 'r6', message_id: 'm4' }))
  chat.doubt()
  t.strictSame(statuses()[3], 'm4 complete', 'after a loss its run is unknown')
})

t.test('a refused message has the status error, keeps its place, and can be sent again', async t => {
  const chat = new Conversation(async () => {})
  chat.send(pending('m1'))
  t.equal(chat.refuse('m1', { code: 'chat_busy', message: 'later' }), true)
  chat.apply(publication('chat_message', { message_id: 'x', content: 'x' }))
  t.match(chat.items, [{ id: 'm1', status: 'error', error: { code: 'chat_busy' } }, { id: 'x' }])
  t.strictSame(chat.submitted, [])
  chat.send(pending('m1'))
  t.match(chat.items, [{ id: 'x' }, { id: 'm1', status: 'pending' }])
  t.notOk('error' in chat.items[1])
  chat.refuse('m1', { code: 'timeout', message: '' })
  chat.apply(publication('chat_message', { message_id: 'm1', role: 'user', content: 'm1' }))
  t.match(chat.items[1], { id: 'm1', status: 'complete', error: undefined }, 'only the answer was lost')
  t.equal(chat.refuse('m1', { code: 'timeout', message: '' }), false)
})

t.test('question returns the oldest open question', async t => {
  const chat = conversation(['input_request', { request_id: 'q1', run_id: 'r', prompt: '1' }], ['input_request', { request_id: 'q2', run_id: 'r', prompt: '2' }])
  t.equal(chat.question?.id, 'q1')
  chat.expire('q1')
  t.equal(chat.question?.id, 'q2')
  chat.apply(publication('input_closed', { request_id: 'q1', run_id: 'r', reason: 'timeout' }))
  t.match(chat.items[0], { status: 'timeout' })
})

t.test('a client that was not connected when a tool was called gets the call with a later publication of the tool', async t => {
  const call: [string, object, number] = ['tool_call', { call_id: 't', run_id: 'r', name: 'search', args: { q: 1 } }, 1]
  const outcome = { call_id: 't', run_id: 'r', name: 'search', status: 'complete', output: 2 }
  const { id: _, ...missed } = publication(...call)
  const late = (type: string, data: object) => conversation([type, { ...data, call: missed }, 2]).items
  t.strictSame(late('tool_progress', { call_id: 't', progress: 0.5 }), conversation(call, ['tool_progress', { call_id: 't', progress: 0.5 }]).items)
  t.strictSame(late('tool_output', outcome), conversation(call, ['tool_output', outcome]).items)
  t.match(late('tool_output', outcome), [{ createdAt: at(1), args: { q: 1 }, output: 2 }])
})

t.test('the end of a run closes its open items, and sets the error if it failed', async t => {
  const chat = conversation(delta('a', 0, 'x'), ['tool_call', { call_id: 't', run_id: 'r', name: 'n' }], ['tool_call', { call_id: 'u', run_id: 'other', name: 'n' }],
    ['input_request', { request_id: 'q', run_id: 'r', prompt: '?' }],
    ['run_finished', { run_id: 'r', status: 'error', error: { code: 'E', message: 'why' } }])
  t.match(chat.items, [{ status: 'error' }, { status: 'error' }, { status: 'running' }, { status: 'error' }])
  t.match(chat.error, { code: 'E' })
  chat.apply(publication('run_started', { run_id: 'next' }))
  t.equal(chat.error, undefined)
  t.match(conversation(delta('a', 0, 'x'), ['run_finished', { run_id: 'r', status: 'complete' }]).items, [{ status: 'interrupted' }])
})

t.test('after a loss the open items are interrupted, until further publications of them arrive', async t => {
  const chat = conversation(['run_started', { run_id: 'r' }], delta('a', 0, 'abc'), delta('b', 0, 'x'), ['tool_call', { call_id: 't', run_id: 'r', name: 'n' }],
    ['input_request', { request_id: 'q', run_id: 'r', prompt: '?' }])
  chat.send(pending('m1'))
  chat.accept('m1')
  chat.send(pending('m2'))
  chat.doubt()
  t.strictSame(chat.items.map(({ status }) => status), ['interrupted', 'interrupted', 'interrupted', 'interrupted', 'complete', 'pending'])
  t.strictSame(chat.runs, [])
  t.strictSame(chat.submitted, ['m2'])
  t.equal(chat.question, undefined)
  for (const each of [
    publication(...delta('a', 0, 'abcdef')),
    publication('chat_message', { message_id: 'b', content: 'xyz', status: 'complete' }),
    publication('tool_progress', { call_id: 't', run_id: 'r', progress: 1 }),
    publication('input_request', { request_id: 'q', run_id: 'r', prompt: '?' })
  ]) chat.apply(each)
  t.match(chat.items, [{ text: 'abcdef', status: 'streaming' }, { text: 'xyz', status: 'complete' }, { status: 'running' }, { status: 'open' }, {}, {}])
  t.strictSame(chat.runs, ['r'])
  chat.apply(publication('tool_output', { call_id: 't', run_id: 'r', name: 'n', status: 'complete', output: 1 }))
  chat.apply(publication('tool_progress', { call_id: 't', run_id: 'r', progress: 2 }))
  t.match(chat.items[2], { status: 'complete', progress: 1 }, 'an item that has ended is final again')
})

t.test('a conversation keeps at most 10,000 items', async t => {
  const chat = new Conversation(async () => {})
  chat.isComplete = true
  for (let n = 0; n < 10_010; n++) chat.apply(publication('chat_message', { message_id: `${n}`, content: 'x' }))
  t.equal(chat.items.length, 10_000)
  t.equal(chat.items[0].id, '10')
  t.equal(chat.isComplete, false)
  chat.apply(publication('chat_message', { message_id: '0', content: 'x' }))
  t.equal(chat.items.at(-1)!.id, '0', 'a dropped item can be added again')
})

/** Any UTF-16, divided anywhere, even between the halves of a surrogate pair. */
const tokens = fc.array(fc.string({ unit: fc.constantFrom('a', '\ud83d', '\ude00', '😀', 'é', '\u0000') }), { minLength: 1, maxLength: 30 })

t.test('the text of an item is the written text, however its deltas are merged, repeated and interleaved', async t => {
  const plan = fc.record({
    writers: fc.array(tokens, { minLength: 1, maxLength: 4 }),
    order: fc.infiniteStream(fc.nat()),
    merges: fc.infiniteStream(fc.boolean()),
    replays: fc.array(fc.tuple(fc.nat(), fc.nat()), { maxLength: 5 }),
    ends: fc.boolean()
  })
  t.doesNotThrow(() => fc.assert(fc.property(plan, ({ writers, order, merges, replays, ends }) => {
    // The log: the deltas of each writer in order, interleaved.
    const log: Envelope[] = []
    const rest = writers.map((tokens, n) => ({ id: `m${n}`, tokens: [...tokens], at: 0 }))
    for (let live = rest; live.length > 0; live = live.filter(({ tokens }) => tokens.length > 0)) {
      const writer = live[order.next().value % live.length]
      let text = writer.tokens.shift()!
      while (writer.tokens.length > 0 && merges.next().value) text += writer.tokens.shift()!
      log.push(publication(...delta(writer.id, writer.at, text)))
      writer.at += text.length
    }
    if (ends) writers.forEach((tokens, n) => log.push(publication('chat_message', { message_id: `m${n}`, run_id: 'r', content: tokens.join(''), status: 'complete' })))
    const chat = new Conversation(async () => {})
    const read = (from: number, to = log.length) => { for (const each of log.slice(from, to)) chat.apply(JSON.parse(JSON.stringify(each))) }
    // Reads up to a random position, then again from an earlier one.
    let head = 0
    for (const [to, back] of replays) {
      const end = head + to % (log.length - head + 1)
      read(head, end)
      head = end - back % (end + 1)
    }
    read(head)
    const shown = new Map(messages(chat).map(({ id, text }) => [id, text]))
    return writers.every((tokens, n) => shown.get(`m${n}`) === tokens.join(''))
  }), { numRuns: 2_000 }))
})

t.test('the cost of a token is its own length, not that of the message', async t => {
  const chat = new Conversation(async () => {})
  const text = 'token '
  const write = (from: number, count: number) => {
    const start = performance.now()
    for (let n = from; n < from + count; n++) chat.apply({ type: 'chat_delta', timestamp: '', data: { message_id: 'a', at: n * text.length, text } })
    return performance.now() - start
  }
  write(0, 20_000)
  const early = write(20_000, 20_000)
  write(40_000, 300_000)
  const late = write(340_000, 20_000)
  t.equal(messages(chat)[0].text.length, 360_000 * text.length)
  t.ok(late < early * 10 + 20, `${early} ms, then ${late} ms`)
})

t.test('the author of a message is the one in the log, even when its ack comes first, and cannot be forged', t => {
  const chat = conversation()
  const said = { message_id: 'm1', role: 'user', content: 'Hi', status: 'complete' }
  chat.send(pending('m1', 'Hi'))
  chat.accept('m1')
  chat.apply(publication('chat_message', { ...said, user_id: 'bob' }, 5))
  t.match(messages(chat), [{ userId: 'bob', createdAt: at(5) }])
  chat.apply(publication('chat_message', { message_id: 'a1', content: 'truth', status: 'complete' }))
  for (const id of ['m1', 'a1']) chat.apply(publication('chat_message', { ...said, message_id: id, content: 'forged', user_id: 'eve' }))
  t.strictSame(texts(chat), ['Hi: complete', 'truth: complete'])
  t.end()
})

const part = { message_id: '/a', run_id: 'r', agent: 'a' }
/** A message with a part of each kind. */
const answer: Publication[] = [
  ['run_started', { run_id: 'r' }],
  ['chat_part', { ...part, part_id: 'message', kind: 'message', status: 'streaming' }],
  ['chat_part_delta', { ...part, part_id: '1', kind: 'reasoning', at: 0, text: 'h' }],
  ['chat_part_delta', { ...part, part_id: '1', kind: 'reasoning', at: 1, text: 'm' }],
  ['chat_part', { ...part, part_id: '1', kind: 'reasoning', text: 'hm', status: 'complete' }],
  ['chat_message', { ...part, role: 'assistant', content: 'One.', status: 'complete' }],
  ['chat_part_delta', { ...part, part_id: 'c', kind: 'tool', name: 'find', at: 0, text: '{' }],
  ['tool_call', { ...part, call_id: 'c', name: 'find', title: 'Find', args: { q: 1 } }],
  ['tool_output', { ...part, call_id: 'c', name: 'find', status: 'complete', output: 2 }],
  ['chat_part', { ...part, part_id: '2', kind: 'step' }],
  ['chat_part', { ...part, part_id: '3', kind: 'source', value: { url: 'u' } }],
  ['chat_part', { ...part, part_id: '4', kind: 'file', value: { url: 'f', media_type: 'm' } }],
  ['chat_part', { ...part, part_id: 'd', kind: 'data', name: 'chart', value: 1 }],
  ['chat_part', { ...part, part_id: 'd', kind: 'data', name: 'chart', value: 2 }],
  ['chat_message', { ...part, message_id: '/a.1', part_of: '/a', role: 'assistant', content: 'Two.', status: 'complete' }],
  ['chat_part', { ...part, part_id: 'message', kind: 'message', status: 'complete', value: { tokens: 1 } }]
]
const kinds = ['reasoning', 'message', 'tool', 'step', 'source', 'file', 'data', 'message']

t.test('the parts of a message are items in order, and applying them again changes nothing', async t => {
  const chat = conversation(...answer)
  const { items } = chat
  t.strictSame(items.map(({ kind }) => kind), kinds)
  t.match(items[0], { id: '/a 1', messageId: '/a', text: 'hm', status: 'complete', agent: 'a' })
  t.match(items[2], { id: 'c', messageId: '/a', title: 'Find', args: { q: 1 }, input: undefined, status: 'complete', output: 2 })
  t.match(items[6], { id: '/a d', name: 'chart', value: 2 })
  t.match(items[7], { id: '/a.1', messageId: '/a', text: 'Two.' })
  t.match(chat.wholes.get('/a'), { status: 'complete', metadata: { tokens: 1 } })
  for (const each of answer) chat.apply(publication(...each))
  t.strictSame(chat.items.map(item => ({ ...item, createdAt: '' })), items.map(item => ({ ...item, createdAt: '' })))
})

t.test('a message that is complete stays complete when its run fails later, and when another run fails', async t => {
  for (const runId of [part.run_id, 'other']) {
    const chat = conversation(...answer, ['run_finished', { run_id: runId, status: 'error', error: { code: 'E', message: 'why' } }])
    t.equal(chat.wholes.get('/a')!.status, 'complete')
  }
})

t.test('arguments that are being written are shown, and a gap is not', async t => {
  const chat = conversation(answer[0], answer[1], answer[6])
  t.match(chat.items, [{ kind: 'tool', status: 'streaming', input: '{' }])
  chat.apply(publication('chat_part_delta', { ...part, part_id: 'c', kind: 'tool', name: 'find', at: 5, text: 'x' }))
  t.match(chat.items, [{ input: '{' }])
  chat.apply(publication('run_finished', { run_id: 'r', status: 'cancelled' }))
  t.match([chat.items[0].status, chat.wholes.get('/a')?.status], ['cancelled', 'cancelled'])
  const lost = conversation(...answer.slice(0, 3))
  lost.doubt()
  t.match([lost.items[0].status, lost.wholes.get('/a')?.status], ['interrupted', 'interrupted'])
})

t.test('a saved message has the same items as the one in the log', async t => {
  const saved = {
    message_id: '/a',
    run_id: 'r',
    agent: 'a',
    role: 'assistant',
    content: 'One.\n\nTwo.',
    status: 'complete' as const,
    metadata: { tokens: 1 },
    timestamp: at(0),
    parts: [
      { kind: 'reasoning', part_id: '1', text: 'hm' }, { kind: 'text', part_id: '/a', text: 'One.' },
      { kind: 'tool', part_id: 'c', name: 'find', title: 'Find', args: { q: 1 }, status: 'complete', output: 2 }, { kind: 'step', part_id: '2' },
      { kind: 'source', part_id: '3', value: { url: 'u' } }, { kind: 'file', part_id: '4', value: { url: 'f', media_type: 'm' } },
      { kind: 'data', part_id: 'd', name: 'chart', value: 2 }, { kind: 'text', part_id: '/a.1', text: 'Two.' }
    ]
  }
  const json = (of: Conversation) => JSON.parse(JSON.stringify(of.items)).map(({ input: _, ...item }: Record<string, unknown>) => item)
  const loaded = conversation()
  insertPage(loaded, { messages: [saved], is_complete: true })
  t.strictSame(json(loaded), json(conversation(...answer)))
  t.match(loaded.wholes.get('/a'), { metadata: { tokens: 1 } })
  const both = conversation(...answer)
  insertPage(both, { messages: [saved], is_complete: true })
  t.strictSame(both.items.map(({ kind }) => kind), kinds)
})

t.test('a text of an answer that ends before it has content is no item, unless it is complete', async t => {
  for (const status of ['error', 'cancelled', 'interrupted']) {
    const chat = conversation(
      ['chat_message', { message_id: 'm1', role: 'user', content: '', user_id: 'ada', status: 'complete' }],
      delta('a1', 0, ''),
      ['chat_part', { message_id: 'a1', part_id: '1', kind: 'reasoning', run_id: 'r', at: 0, text: '', status: 'streaming' }])
    t.equal(chat.items.length, 3, 'while it may still get some')
    chat.apply(publication('chat_message', { message_id: 'a1', run_id: 'r', content: '', status }))
    chat.apply(publication('chat_part', { message_id: 'a1', part_id: '1', kind: 'reasoning', run_id: 'r', text: '', status }))
    t.same(ids(chat), ['m1'], status)
  }
  t.same(texts(conversation(['chat_message', { message_id: 'a1', run_id: 'r', content: '', status: 'complete' }])), [': complete'])
})

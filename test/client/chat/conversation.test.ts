import fc from 'fast-check'
import t from 'tap'
import { Conversation } from '../../../lib/client/chat/conversation.js'
import type { ChatMessage } from '../../../lib/client/chat/items.js'
import type { Envelope } from '../../../lib/client/index.js'

let offset = 0
const at = (second: number) => new Date(1_800_000_000_000 + second * 1000).toISOString()
const publication = (type: string, data: object, second = 0): Envelope => ({ type, data, id: `c.e.${++offset}`, timestamp: at(second) })

type Publication = [type: string, data: object, second?: number]

function conversation (...publications: Publication[]): Conversation {
  const one = new Conversation(async () => {})
  for (const each of publications) one.apply(publication(...each))
  return one
}

const messages = (of: Conversation) => of.items.filter((item): item is ChatMessage => item.kind === 'message')
const texts = (of: Conversation) => messages(of).map(({ text, status }) => `${text}: ${status}`)
const ids = (of: Conversation) => of.items.map(({ id }) => id)
const pending = (id: string, text = id) => ({ id, text, userId: 'ada', createdAt: at(0) })
const delta = (id: string, at: number, text: string): [string, object] => ['chat_delta', { message_id: id, run_id: 'r', agent: 'a', at, text }]

t.test('what is said, called and asked in a run is shown in order', async t => {
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
    { kind: 'tool', id: 't1', runId: 'r', name: 'search', agent: undefined, args: { q: 'x' }, status: 'running', progress: 0.5, createdAt: at(5) }
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
  t.equal(chat.items[0], user, 'what has not changed is the same object')
  t.equal(chat.items, chat.items)
  t.strictSame(chat.runs, [])
  t.equal(chat.apply(publication('of_the_app', {})), false)
})

t.test('a delta is applied where the text has no gap, and not after the end', async t => {
  t.strictSame(texts(conversation(delta('a', 3, 'later'))), [], 'without its beginning there is nothing to show')
  t.strictSame(texts(conversation(delta('a', 0, 'abcdef'), delta('a', 2, 'XY'))), ['abXY: streaming'])
  t.strictSame(texts(conversation(delta('a', 0, 'ab'), delta('a', 3, 'd'))), ['ab: streaming'], 'what has a gap before it waits for the whole')
  const done = conversation(delta('a', 0, 'ab'), ['chat_message', { message_id: 'a', content: 'abc', status: 'cancelled' }], delta('a', 0, 'x'))
  t.strictSame(texts(done), ['abc: cancelled'], 'nothing comes after the end')
  const snapshot = conversation(['chat_message', { message_id: 'a', run_id: 'r', content: 'abc', status: 'streaming' }])
  t.strictSame(snapshot.runs, ['r'])
  snapshot.apply(publication(...delta('a', 3, 'd')))
  t.strictSame(texts(snapshot), ['abcd: streaming'])
})

t.test('messages that have no id are new each time; other fields are kept', async t => {
  const chat = conversation(['chat_message', { content: 'x', agent: 'a' }], ['chat_message', { content: 'x', files: [1] }])
  t.match(messages(chat), [{ text: 'x', role: 'assistant', agent: 'a', status: 'complete' }, { text: 'x', data: { files: [1] } }])
  t.equal(new Set(ids(chat)).size, 2)
})

t.test('a message that is sent is there once: pending after all others, then where the log has it', async t => {
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
  t.strictSame(chat.submitted, [], 'it has been sent')
  chat.send(pending('m2'))
  chat.accept('m2')
  chat.apply(publication('run_finished', { run_id: 'r2', message_id: 'm2', status: 'cancelled' }))
  t.strictSame(chat.submitted, [], 'a run that was cancelled before it started')
})

t.test('a run that waits is queued, until it starts or ends; applying it again changes nothing', async t => {
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
  t.strictSame(state(), [[], ['r2'], true], 'what comes of a run says that it goes')
  chat.apply(publication('run_queued', { run_id: 'r3' }))
  chat.apply(publication('run_finished', { run_id: 'r3', status: 'cancelled' }))
  t.strictSame(chat.runs, ['r2'])
  chat.apply(publication('run_queued', { run_id: 'r4' }))
  chat.doubt()
  t.strictSame(state(), [[], [], false], 'after a loss it is not known')
})

t.test("a user's message is queued while its run waits, and shows how that ended before it started; again and again", async t => {
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
    t.equal(chat.items, items, 'applying it again changes nothing')
    t.equal(chat.runOf('m1'), 'r1')
    chat.apply(publication('run_finished', { run_id: 'r1', message_id: 'm1', status: 'cancelled' }))
    t.strictSame(statuses(), ['m1 cancelled'])
    t.equal(chat.runOf('m1'), undefined)
  }
  m1()
  chat.apply(publication('run_queued', { run_id: 'r2', message_id: 'm1' }))
  chat.apply(publication('run_started', { run_id: 'r2', message_id: 'm1' }))
  chat.apply(publication('run_queued', { run_id: 'r2', message_id: 'm1' }))
  t.strictSame(statuses(), ['m1 complete'], 'a run that has started waits no more')
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
  t.strictSame(statuses()[2], 'm3 cancelled', 'one that was never announced has not started')
  chat.apply(publication('chat_message', { message_id: 'm4', role: 'user', content: 'm4' }))
  chat.apply(publication('run_queued', { run_id: 'r6', message_id: 'm4' }))
  chat.doubt()
  t.strictSame(statuses()[3], 'm4 complete', 'after a loss it is not known')
})

t.test('a message that is refused says so, keeps its place, and can be tried again', async t => {
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

t.test('the question is the oldest one that is open', async t => {
  const chat = conversation(['input_request', { request_id: 'q1', run_id: 'r', prompt: '1' }], ['input_request', { request_id: 'q2', run_id: 'r', prompt: '2' }])
  t.equal(chat.question?.id, 'q1')
  chat.expire('q1')
  t.equal(chat.question?.id, 'q2')
  chat.apply(publication('input_closed', { request_id: 'q1', run_id: 'r', reason: 'timeout' }))
  t.match(chat.items[0], { status: 'timeout' })
})

t.test('a run that ends takes with it what was not closed, and says why it failed', async t => {
  const chat = conversation(delta('a', 0, 'x'), ['tool_call', { call_id: 't', run_id: 'r', name: 'n' }], ['tool_call', { call_id: 'u', run_id: 'other', name: 'n' }],
    ['input_request', { request_id: 'q', run_id: 'r', prompt: '?' }],
    ['run_finished', { run_id: 'r', status: 'error', error: { code: 'E', message: 'why' } }])
  t.match(chat.items, [{ status: 'error' }, { status: 'error' }, { status: 'running' }, { status: 'error' }])
  t.match(chat.error, { code: 'E' })
  chat.apply(publication('run_started', { run_id: 'next' }))
  t.equal(chat.error, undefined)
  t.match(conversation(delta('a', 0, 'x'), ['run_finished', { run_id: 'r', status: 'complete' }]).items, [{ status: 'interrupted' }])
})

t.test('after a loss what is open is in doubt, until more of it comes', async t => {
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
})

const stored = (id: string, second: number, more: object = {}) => ({ message_id: id, role: 'user', content: id, status: 'complete' as const, timestamp: at(second), ...more })

t.test('a page of the history is merged with what is there', async t => {
  const live = () => conversation(['chat_message', { message_id: 'c', content: 'c' }, 30], ['tool_call', { call_id: 't', run_id: 'r', name: 'n' }, 31], ['chat_message', { message_id: 'd', content: 'd' }, 32])

  t.test('comes before what is there, without what is there', async t => {
    const chat = live()
    const before = chat.items[0]
    chat.merge({ messages: [stored('a', 10), stored('b', 20), stored('c', 29)], is_complete: false })
    t.strictSame(ids(chat), ['a', 'b', 'c', 't', 'd'])
    t.equal(chat.items[2], before)
    t.equal(chat.isComplete, false)
    chat.merge({ messages: [stored('-1', 10), stored('0', 10)], is_complete: true }, 'a')
    t.strictSame(ids(chat), ['-1', '0', 'a', 'b', 'c', 't', 'd'])
    t.equal(chat.isComplete, true)
  })

  t.test('goes by time where it has nothing in common with what is there', async t => {
    const chat = live()
    chat.merge({ messages: [stored('a', 10), stored('b', 31)], is_complete: true })
    t.strictSame(ids(chat), ['a', 'c', 't', 'b', 'd'])
  })

  t.test('has what was refused: only the answer was lost', async t => {
    const chat = live()
    chat.send(pending('m'))
    chat.refuse('m', { code: 'timeout', message: '' })
    chat.merge({ messages: [stored('m', 33)], is_complete: true })
    t.match(chat.items.at(-1), { id: 'm', status: 'complete', error: undefined })
  })

  t.test('whatever its times say', async t => {
    for (const timestamp of [undefined, 'nonsense', at(99)]) {
      const chat = live()
      chat.merge({ messages: [stored('a', 0, { timestamp }), stored('b', 0, { timestamp })], is_complete: true }, 'c')
      t.strictSame(ids(chat), ['a', 'b', 'c', 't', 'd'], `${timestamp}`)
    }
  })

  t.test('completes what was cut off, but not what is live', async t => {
    const chat = conversation(delta('a', 0, 'abc'), delta('b', 0, 'xyz'))
    chat.doubt()
    chat.apply(publication(...delta('b', 3, '!')))
    chat.merge({ messages: [stored('a', 1, { content: 'abcdef' }), stored('b', 2, { content: 'x', status: 'streaming' }), stored('old', 0, { status: 'streaming' })], is_complete: true })
    t.strictSame(texts(chat).sort(), ['abcdef: complete', 'old: interrupted', 'xyz!: streaming'])
    t.strictSame(chat.runs, ['r'])
  })

  t.test('has what is pending: only the answer was lost', async t => {
    const chat = live()
    chat.send(pending('m'))
    chat.merge({ messages: [stored('d', 32), stored('m', 33)], is_complete: true })
    t.match(chat.items.at(-1), { id: 'm', status: 'complete', createdAt: at(33) })
    t.equal(chat.items.length, 4)
  })

  t.test('after a loss: what may not be next to it is let go', async t => {
    const chat = live()
    chat.isComplete = true
    chat.doubt()
    chat.apply(publication('chat_message', { message_id: 'z', content: 'z' }, 90))
    chat.merge({ messages: [stored('x', 70), stored('y', 80), stored('z', 90)], is_complete: false })
    t.strictSame(ids(chat), ['x', 'y', 'z'])
    t.equal(chat.isComplete, false)
  })

  t.test('after a loss: what is next to it stays', async t => {
    for (const [messages, isComplete] of [[[stored('d', 32), stored('y', 80)], false], [[stored('x', 70), stored('y', 80)], true]] as const) {
      const chat = live()
      chat.doubt()
      chat.merge({ messages, is_complete: isComplete })
      t.equal(ids(chat)[0], 'c')
      t.equal(ids(chat).at(-1), 'y')
    }
  })
})

t.test('it is bounded', async t => {
  const chat = new Conversation(async () => {})
  chat.isComplete = true
  for (let n = 0; n < 10_010; n++) chat.apply(publication('chat_message', { message_id: `${n}`, content: 'x' }))
  t.equal(chat.items.length, 10_000)
  t.equal(chat.items[0].id, '10')
  t.equal(chat.isComplete, false)
})

/** Any UTF-16, cut anywhere: halves of surrogate pairs too. */
const tokens = fc.array(fc.string({ unit: fc.constantFrom('a', '\ud83d', '\ude00', '😀', 'é', '\u0000') }), { minLength: 1, maxLength: 30 })

t.test('whatever is merged, repeated and interleaved, the text shown is the text written', async t => {
  const plan = fc.record({
    writers: fc.array(tokens, { minLength: 1, maxLength: 4 }),
    order: fc.infiniteStream(fc.nat()),
    merges: fc.infiniteStream(fc.boolean()),
    replays: fc.array(fc.tuple(fc.nat(), fc.nat()), { maxLength: 5 }),
    ends: fc.boolean()
  })
  t.doesNotThrow(() => fc.assert(fc.property(plan, ({ writers, order, merges, replays, ends }) => {
    // The log: each writer's deltas in order, of any turn.
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
    // Read up to somewhere, then again from somewhere before that.
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

t.test('a token costs its own length, not that of the message', async t => {
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

t.test('who wrote a message is who the log says, also when its ack came first, and stays so', t => {
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

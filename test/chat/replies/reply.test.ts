import { mock } from 'node:test'
import t from 'tap'
import { LiveReply, type ReplyParts } from '../../../lib/chat/replies/reply.js'
import { errors } from '../../../lib/errors.js'
import { found } from '../../every.js'
import { gate, loopTurns } from '../../waiting.js'
import { down, FakeContext } from '../runs/context.js'

function setup (parts: Partial<ReplyParts> = {}) {
  const context = new FakeContext()
  const calls = { charged: 0, failed: [] as unknown[], closed: 0 }
  const reply = new LiveReply({
    context,
    outlet: {
      publish: (type, data) => context.publish({ type, data } as never),
      deliver: (type, data) => context.deliver({ type, data } as never)
    },
    id: 'm',
    runId: 'r',
    agent: 'a',
    role: 'assistant',
    isOver: false,
    charge: bytes => {
      calls.charged += bytes
      return true
    },
    fail: error => { calls.failed.push(error) },
    onClosed: () => { calls.closed++ },
    ...parts
  })
  return { context, reply, calls }
}

const head = { message_id: 'm', run_id: 'r', agent: 'a' }

t.test('all text of one turn is published as one delta, and the whole message at the end', async t => {
  const { context, reply, calls } = setup()
  t.strictSame([reply.write('Hel'), reply.write(''), reply.write('lo'), reply.text], [true, true, true, 'Hello'])
  t.strictSame(context.published, [])
  context.turn()
  context.turn()
  reply.write(' \ud83d')
  context.turn()
  reply.write('\ude00')
  await reply.end()
  context.turn()
  t.strictSame(context.published.map(({ type, data }) => [type, data]), [
    ['chat_delta', { ...head, at: 0, text: 'Hello' }],
    ['chat_delta', { ...head, at: 5, text: ' \ud83d' }],
    ['chat_message', { ...head, role: 'assistant', content: 'Hello \ud83d\ude00', status: 'complete' }]
  ])
  t.strictSame(context.saved, [context.published[2].data])
  t.equal(calls.closed, 1)
})

t.test('a reply ends once, with the first status', async t => {
  const { context, reply, calls } = setup()
  reply.write('a')
  reply.close('cancelled')
  await Promise.all([reply.end(), reply.fail(new Error('no')), reply.close('error')])
  t.strictSame([reply.write('b'), reply.write('')], [false, false])
  reply.flush()
  context.turn()
  t.strictSame(context.types, ['chat_message'])
  t.match(context.published[0].data, { content: 'a', status: 'cancelled' })
  t.strictSame([calls.closed, context.saved.length, context.logged.length], [1, 1, 0])
})

t.test('the error of a failed reply is logged and not sent to clients', async t => {
  const { context, reply } = setup()
  await reply.fail(new Error('secret'))
  t.strictSame([context.published, context.saved], [[], []], 'an empty reply that failed is not shown')
  reply.write('late')
  t.notMatch(JSON.stringify(context.published), 'secret')
  t.match(context.logged, [/reply failed/])
  t.match(context.loggedFields, [{ messageId: 'm', err: { message: 'secret' } }])
  const silent = setup()
  await silent.reply.fail()
  t.equal(silent.context.logged.length, 0)
})

t.test('a reply of a run that is over publishes nothing', async t => {
  const { context, reply } = setup({ isOver: true })
  t.equal(reply.write('a'), false)
  await reply.end()
  t.strictSame([context.published, context.saved], [[], []])
})

t.test('a reply counts the bytes of its text as JSON, for its own limit and for that of its run', async t => {
  const { reply, calls } = setup()
  reply.write('a"\n\u0000ü')
  t.equal(calls.charged, 1 + 2 + 2 + 6 + 2)
  t.equal(reply.write('x'.repeat(7_000)), true)
  t.equal(reply.write('x'.repeat(2_000)), false)
  t.match(calls.failed, [{ code: 'RT_ERR_REPLY_TOO_LONG' }])
  t.equal(setup({ charge: () => false }).reply.write('a'), false)
  t.equal(setup({ agent: 'x'.repeat(9_000) }).reply.write('a'), false, "its agent's name counts")
  t.throws(() => reply.write(undefined as never), { name: 'TypeError', message: "'write' takes a string, not undefined" })
  t.equal(setup({ charge: () => false }).reply.write(''), true, 'no text costs nothing')
})

t.test('a role other than assistant is in each delta', async t => {
  const { context, reply } = setup({ role: 'note' })
  reply.write('a')
  context.turn()
  t.match(context.published, [{ type: 'chat_delta', data: { role: 'note' } }])
  await reply.step()
  const whole = found(context.published, ({ data }) => data.kind === 'message')
  t.match(whole, [{ data: { role: 'note' } }], 'and in the message as a whole')
})

t.test('text waits until the broker has answered, and is then published as one delta', async t => {
  const { context, reply } = setup()
  const { opened, open } = gate()
  context.answer = () => opened
  reply.write('a')
  context.turn()
  reply.write('b')
  context.turn()
  t.equal(context.published.length, 1)
  t.equal(reply.isFull, false)
  for (let n = 0; n < 10; n++) reply.write('x'.repeat(700))
  t.equal(reply.isFull, false)
  t.type(reply.stored, Promise)
  open()
  await reply.stored
  t.equal(reply.stored, undefined)
  context.turn()
  t.match(context.published[1], { data: { at: 1, text: `b${'x'.repeat(7_000)}` } })
})

t.test('a reply is full when more than 65,536 characters wait', async t => {
  const { context, reply } = setup()
  context.limits.message = 1_000_000
  reply.write('x'.repeat(64 * 1024))
  t.equal(reply.isFull, false)
  reply.write('x')
  t.equal(reply.isFull, true)
  context.turn()
  t.equal(reply.isFull, false)
})

t.test('a reply is full when more than 65,536 characters of the arguments of a call wait', async t => {
  const { context, reply } = setup()
  context.limits.message = 1_000_000
  const { opened, open } = gate()
  context.answer = () => opened
  await reply.ready()
  const call = reply.call('search')
  call.write('x')
  context.turn()
  call.write('x'.repeat(64 * 1024))
  t.equal(reply.isFull, false)
  call.write('x')
  t.equal(reply.isFull, true)
  let isReady = false
  const ready = reply.ready().then(() => { isReady = true })
  await loopTurns()
  t.equal(isReady, false)
  call.fail()
  open()
  await ready
  t.equal(reply.isFull, false)
})

t.test('the parts of a reply are there while it is written, as they will be saved', async t => {
  const { context, reply } = setup()
  reply.write('Let me see.')
  const call = reply.call('search', { id: 'c' })
  call.write('{"q"')
  t.strictSame(reply.parts, [{ kind: 'text', part_id: 'm', text: 'Let me see.' }, { kind: 'tool', part_id: 'c', name: 'search', text: '{"q"' }])
  await call.call({ q: 1 })
  await call.output(2)
  await t.rejects(reply.data('chart', 1n), TypeError)
  await reply.data('chart', 1, { id: 'd' })
  reply.write('Two.')
  await reply.data('chart', 2, { id: 'd' })
  const parts = reply.parts
  t.match(parts, [
    { part_id: 'm' }, { kind: 'tool', args: { q: 1 }, status: 'complete', output: 2 },
    { kind: 'data', part_id: 'd', value: 2 }, { kind: 'text', part_id: 'm.1', text: 'Two.' }
  ])
  reply.end()
  t.strictSame(context.saved, [{ ...head, role: 'assistant', content: 'Let me see.\n\nTwo.', status: 'complete', parts, metadata: undefined }])
})

t.test('text that the broker did not store is published again, together with later text', async t => {
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  for (const answer of [down, async () => down()]) {
    const { context, reply } = setup()
    reply.write('a')
    context.turn()
    context.answer = answer
    reply.write('b')
    context.turn()
    await loopTurns()
    context.answer = () => ({})
    reply.write('c')
    mock.timers.tick(500)
    context.turn()
    t.match(context.published.at(-1), { data: { at: 1, text: 'bc' } })
    t.strictSame(context.logged, [])

    context.answer = answer
    reply.write('d')
    context.turn()
    const ended = reply.end()
    context.answer = () => ({})
    await loopTurns()
    mock.timers.tick(500)
    context.turn()
    await ended
    t.match(context.published.at(-1), { type: 'chat_message', data: { content: 'abcd' } }, 'the final form is the last publication')
  }
})

t.test('text that the broker did not confirm is published again, even without later text', async t => {
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  const { context, reply } = setup()
  context.answer = async () => { throw new errors.UNCONFIRMED() }
  reply.write('a')
  context.turn()
  await loopTurns()
  context.answer = () => ({})
  mock.timers.tick(500)
  context.turn()
  t.match(context.published, Array(2).fill({ type: 'chat_delta', data: { at: 0, text: 'a' } }))
  t.strictSame(context.logged, [])
})

t.test('text that can never be stored is logged', async t => {
  const { context, reply } = setup()
  context.answer = () => { throw new Error('not JSON') }
  reply.write('a')
  context.turn()
  t.match(context.logged, [/part of a reply was not sent/])
  t.match(context.loggedFields, [{ messageId: 'm', err: { message: 'not JSON' } }])
})

t.test('a delta that fails after the end of its reply is neither logged nor published again', async t => {
  const { context, reply } = setup()
  context.answer = async () => { throw new Error('not JSON') }
  reply.write('a')
  context.turn()
  await reply.end()
  await loopTurns()
  t.strictSame(context.types, ['chat_delta', 'chat_message'])
  t.strictSame(context.logged, [])
})

t.test('all text of one turn is flushed once', async t => {
  const { context, reply } = setup()
  const actions: Array<() => void> = []
  context.soon = action => { actions.push(action) }
  for (const text of ['a', 'b', 'c']) reply.write(text)
  t.equal(actions.length, 1)
  actions[0]()
  reply.write('d')
  t.equal(actions.length, 2)
})

t.test('a reply without an agent has no field agent', async t => {
  const { context, reply } = setup({ agent: undefined })
  await reply.end()
  t.notOk('agent' in context.saved[0])
})

t.test('the limit of a reply is exact to the byte', async t => {
  const { reply, calls } = setup({ agent: undefined })
  const { length } = JSON.stringify({ message_id: 'm', run_id: 'r' })
  t.equal(reply.write('x'.repeat(10_000 - 2_048 - length)), true)
  t.equal(reply.write('x'), false)
  t.match(calls.failed, [{ code: 'RT_ERR_REPLY_TOO_LONG' }])
})

t.test('the parts of a message are published in order, and saved with it', async t => {
  const { context, reply } = setup()
  reply.write('Let me see.')
  const reasoning = reply.reasoning({ fields: { signature: 's' } })
  reasoning.write('Orders of ')
  const call = reply.call('find', { id: 'c1', fields: { title: 'Find' } })
  await call.call({ user: 'u' })
  reasoning.write('u', { signature: 't' })
  await reasoning.end()
  await call.output(2)
  await reply.step()
  await reply.source({ url: 'https://a.example', title: 'A' })
  await reply.file({ url: 'data:,', media_type: 'text/plain' })
  await reply.data('chart', { n: 1 }, { id: 'd' })
  await reply.data('chart', { n: 2 }, { id: 'd' })
  await reply.data('hint', 'now', { isTransient: true })
  await reply.metadata({ tokens: 5 })
  reply.write('You have two.')
  const text = reply.addText()
  text.write('Bye.')
  await text.end()
  t.equal(reply.text, 'Let me see.\n\nYou have two.\n\nBye.')
  await reply.end()
  const part = { message_id: 'm', run_id: 'r', agent: 'a' }
  t.match(context.published.map(
    ({ type, data }) => [type, data.part_id ?? data.call_id ?? data.message_id, data.kind, data.text ?? data.content]), [
    ['chat_delta', 'm', undefined, 'Let me see.'],
    ['chat_message', 'm', undefined, 'Let me see.'],
    ['chat_part', 'message', 'message', undefined],
    ['chat_part_delta', '1', 'reasoning', 'Orders of '],
    ['chat_part_delta', 'c1', 'tool', ''],
    ['tool_call', 'c1', undefined, undefined],
    ['chat_part', '1', 'reasoning', 'Orders of u'],
    ['tool_output', 'c1', undefined, undefined],
    ['chat_part', '2', 'step', undefined],
    ['chat_part', '3', 'source', undefined],
    ['chat_part', '4', 'file', undefined],
    ['chat_part', 'd', 'data', undefined],
    ['chat_part', 'd', 'data', undefined],
    ['chat_part', 'transient hint', 'data', undefined],
    ['chat_part', 'message', 'message', undefined],
    ['chat_delta', 'm.1', undefined, 'You have two.'],
    ['chat_message', 'm.1', undefined, 'You have two.'],
    ['chat_delta', 'm.2', undefined, 'Bye.'],
    ['chat_message', 'm.2', undefined, 'Bye.'],
    ['chat_part', 'message', 'message', undefined]
  ])
  t.match(context.published.find(({ data }) => data.message_id === 'm.1'), { data: { part_of: 'm' } })
  t.strictSame(context.published.at(-1)!.data, { ...part, part_id: 'message', kind: 'message', status: 'complete', value: { tokens: 5 } })
  t.strictSame(found(context.published, ({ data }) => data.kind === 'message').map(({ data }) => data.status), ['streaming', 'streaming', 'complete'])
  t.strictSame(found(context.published, ({ data }) => data.is_transient).map(({ data }) => data),
    [{ ...part, part_id: 'transient hint', kind: 'data', name: 'hint', value: 'now', is_transient: true }])
  t.strictSame(context.saved, [{
    ...part,
    role: 'assistant',
    content: reply.text,
    status: 'complete',
    metadata: { tokens: 5 },
    parts: [
      { kind: 'text', part_id: 'm', text: 'Let me see.' },
      { kind: 'reasoning', part_id: '1', text: 'Orders of u', signature: 't' },
      { kind: 'tool', part_id: 'c1', name: 'find', args: { user: 'u' }, status: 'complete', output: 2 },
      { kind: 'step', part_id: '2' },
      { kind: 'source', part_id: '3', value: { url: 'https://a.example', title: 'A' } },
      { kind: 'file', part_id: '4', value: { url: 'data:,', media_type: 'text/plain' } },
      { kind: 'data', part_id: 'd', name: 'chart', value: { n: 2 } },
      { kind: 'text', part_id: 'm.1', text: 'You have two.' },
      { kind: 'text', part_id: 'm.2', text: 'Bye.' }
    ]
  }])
})

t.test('when a part ends, the parts that began before it in the same turn are published first', async t => {
  const { context, reply } = setup()
  reply.reasoning().write('a')
  const text = reply.addText()
  reply.reasoning().write('b')
  text.write('c')
  await text.end()
  reply.reasoning().write('d')
  reply.write('e')
  await reply.step()
  const parts = found(context.published, ({ data }) => data.kind !== 'message').map(({ type, data }) => [type, data.text ?? data.content ?? data.kind])
  t.strictSame(parts, [
    ['chat_part_delta', 'a'],
    ['chat_delta', 'c'],
    ['chat_message', 'c'],
    ['chat_part_delta', 'b'],
    ['chat_part_delta', 'd'],
    ['chat_delta', 'e'],
    ['chat_message', 'e'],
    ['chat_part', 'step']
  ])
})

t.test('open parts end with their message, and nothing follows', async t => {
  const { context, reply } = setup()
  const reasoning = reply.reasoning()
  const call = reply.call('find', { id: 'c1' })
  call.write('{')
  reply.close('cancelled')
  t.match(context.published.slice(-3).map(({ type, data }) => [type, data.kind, data.status]), [
    ['chat_part', 'reasoning', 'cancelled'], ['tool_output', undefined, 'cancelled'], ['chat_part', 'message', 'cancelled']
  ])
  const { length } = context.published
  t.equal(reasoning.write('late'), false)
  await reply.source({ url: 'u' })
  t.equal(reply.reasoning().write('late'), false)
  const late = reply.call('late')
  t.equal(late.write('late'), false)
  await late.output('late')
  t.equal(reply.addText().write('late'), false)
  await reply.end()
  context.turn()
  t.equal(context.published.length, length)
  t.equal(context.saved.length, 1)
})

t.test('a part that the broker did not store is delivered, and one that can never be stored rejects', async t => {
  const { context, reply } = setup()
  reply.write('a')
  context.turn()
  context.answer = down
  await reply.source({ url: 'u' })
  t.match(context.published.at(-1), { type: 'chat_part', data: { kind: 'source' } })
  context.answer = async () => down()
  await reply.step()
  t.match(context.published.slice(-2), Array(2).fill({ type: 'chat_part', data: { kind: 'step' } }), 'the broker failed later')
  const fault = new Error('too large')
  const refusing = setup({ outlet: { publish: down, deliver: () => Promise.reject(fault) as never } })
  await t.rejects(refusing.reply.source({ url: 'u' }), fault)
  context.answer = () => { throw new TypeError('not JSON') }
  await t.rejects(reply.file({ url: 'u', media_type: 'm' }), { message: 'not JSON' })
  await t.rejects(reply.data('n', 1n), TypeError)
})

t.test('parts count for the limits of a reply', async t => {
  const { reply, calls } = setup()
  await reply.file({ url: `data:,${'x'.repeat(9_000)}`, media_type: 'text/plain' })
  t.match(calls.failed, [{ code: 'RT_ERR_REPLY_TOO_LONG' }])
})

t.test('an empty text begins no part, and metadata alone is a message without text', async t => {
  const { context, reply } = setup()
  t.equal(reply.isEmpty, true)
  reply.write('')
  t.strictSame([reply.isEmpty, reply.parts], [true, []])
  await reply.metadata({ tokens: 0 })
  t.equal(reply.isEmpty, false)
  await reply.end()
  t.strictSame(context.types, ['chat_part', 'chat_part'])
  t.match(context.saved, [{ content: '', parts: [], metadata: { tokens: 0 } }])
  const ended = setup()
  await ended.reply.end()
  t.strictSame(ended.context.published.map(({ data }) => [data.content, data.status]), [['', 'complete']], 'a message that is ended without any content')
})

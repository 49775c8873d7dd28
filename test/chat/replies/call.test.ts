import t from 'tap'
import { LiveCall } from '../../../lib/chat/replies/call.js'
import { FakeContext } from '../runs/context.js'

function setup (fault?: Error) {
  const context = new FakeContext()
  const calls = { closed: 0 }
  const call = new LiveCall({
    context,
    outlet: {
      publish: (type, data) => context.publish({ type, data } as never),
      deliver: (type, data) => context.deliver({ type, data } as never)
    },
    id: 'c',
    name: 'search',
    head: { message_id: 'm', run_id: 'r', agent: 'a' },
    charge: () => true,
    flush: () => {},
    publish: async (type, data) => {
      if (fault !== undefined) throw fault
      context.publish({ type, data } as never)
    },
    onClosed: () => { calls.closed++ }
  })
  return { context, call, calls }
}

const head = { message_id: 'm', run_id: 'r', agent: 'a' }
const about = { ...head, call_id: 'c', name: 'search' }

t.test('the arguments grow, are replaced by the whole call, and the call ends once', async t => {
  const { context, call, calls } = setup()
  call.write('', { title: 'Search' })
  context.turn()
  call.write('{"q":')
  call.flush()
  call.write('1')
  await call.call({ q: 1 }, { title: 'Search' })
  t.equal(call.write('late'), false)
  await call.progress('half')
  await call.output([1], { note: 'n' })
  await call.output([2])
  await call.fail()
  await call.progress('late')
  await call.call({})
  call.close('cancelled')
  context.turn()
  const input = { ...head, part_id: 'c', kind: 'tool', name: 'search' }
  t.strictSame(context.published, [
    { type: 'chat_part_delta', data: { ...input, title: 'Search', at: 0, text: '' } },
    { type: 'chat_part_delta', data: { ...input, at: 0, text: '{"q":' } },
    { type: 'tool_call', data: { ...about, args: { q: 1 }, title: 'Search' } },
    { type: 'tool_progress', data: { ...about, progress: 'half' } },
    { type: 'tool_output', data: { ...about, status: 'complete', output: [1], note: 'n' } }
  ])
  t.strictSame(call.saved, { kind: 'tool', part_id: 'c', name: 'search', args: { q: 1 }, title: 'Search', status: 'complete', output: [1], note: 'n' })
  t.equal(calls.closed, 1)
})

t.test('a call whose arguments were not completed takes none after its end', async t => {
  const { context, call } = setup()
  call.write('{"q')
  await call.output(1)
  const { length } = context.published
  t.equal(call.write('":1}'), false)
  await call.output(2)
  await call.call({})
  t.equal(context.published.length, length)
})

t.test('a call rejects if a part of it cannot be published', async t => {
  const fault = new Error('too large')
  const { call } = setup(fault)
  await t.rejects(call.call({}), fault)
  await t.rejects(call.progress(1), fault)
  await t.rejects(call.output(1), fault)
})

t.test('a call that its run leaves open is closed with the outcome of the run', async t => {
  for (const [outcome, status] of [['complete', 'interrupted'], ['cancelled', 'cancelled'], ['error', 'error']] as const) {
    const { context, call } = setup()
    call.write('{"q')
    call.close(outcome)
    t.match(context.published.at(-1), { type: 'tool_output', data: { ...about, status } })
    t.equal(context.published.at(-1)!.data.error?.code, status === 'error' ? 'tool_failed' : undefined)
    t.match(call.saved, { status, text: '{"q' })
  }
})

t.test('a call that fails has the given error, or that of a tool', async t => {
  const one = setup()
  await one.call.fail()
  t.match(one.context.published, [{ data: { status: 'error', error: { code: 'tool_failed' } } }])
  const two = setup()
  await two.call.fail({ code: 'not_found', message: 'no such order' })
  t.match(two.call.saved, { error: { code: 'not_found' } })
})

t.test('a call whose arguments are given again is published again, and saved with the latest ones', async t => {
  const { context, call } = setup()
  for (const q of [1, 2]) await call.call({ q })
  t.strictSame(context.published.map(({ type, data }) => [type, data.args]), [['tool_call', { q: 1 }], ['tool_call', { q: 2 }]])
  t.match(call.saved, { args: { q: 2 } })
})

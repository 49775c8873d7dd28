import t from 'tap'
import { LiveTool, type ToolParts } from '../../../lib/chat/runs/tool.js'
import type { ToolContext } from '../../../lib/index.js'
import { gate } from '../../waiting.js'
import { down, FakeContext } from './context.js'

const { signal } = new AbortController()

function use<T> (work: ToolParts<T>['work'], context = new FakeContext()) {
  let closed = 0
  const tool = new LiveTool<T>({
    context,
    outlet: {
      publish: (type, data) => context.publish({ type, data } as never),
      deliver: (type, data) => context.deliver({ type, data } as never)
    },
    callId: 'c',
    runId: 'r',
    signal,
    name: 'search',
    args: { q: 1 },
    agent: 'a',
    work,
    onClosed: () => { closed++ }
  })
  tool.done.catch(() => {})
  tool.start()
  return { context, tool, closed: () => closed }
}

const about = { call_id: 'c', run_id: 'r', agent: 'a' }

t.test('the call of a tool, its latest progress in a turn, and its output are published', async t => {
  const { opened, open } = gate()
  let given: ToolContext | undefined
  const { context, tool, closed } = use(async context => {
    given = context
    context.progress(1)
    context.progress(2)
    await opened
    context.progress(4)
    return 'found'
  })
  context.turn()
  given!.progress(3)
  context.turn()
  open()
  t.equal(await tool.done, 'found')
  given!.progress(5)
  context.turn()
  t.equal(given!.signal, signal)
  t.strictSame(context.logged, [])
  t.strictSame(context.published, [
    { type: 'tool_call', data: { ...about, name: 'search', args: { q: 1 } } },
    { type: 'tool_progress', data: { ...about, progress: 2 } },
    { type: 'tool_progress', data: { ...about, progress: 3 } },
    { type: 'tool_output', data: { ...about, name: 'search', status: 'complete', output: 'found' } }
  ])
  t.equal(closed(), 1)
})

t.test('the error of a tool reaches the handler and not the users', async t => {
  const { context, tool } = use(() => { throw new Error('secret') })
  await t.rejects(tool.done, { message: 'secret' })
  t.match(context.published[1], { data: { status: 'error', error: { code: 'tool_failed', message: 'the tool failed' }, output: undefined } })
  t.notMatch(JSON.stringify(context.published), 'secret')
})

t.test('a tool that is still at work when its run ends is closed, and rejects with RT_ERR_RUN_ENDED', async t => {
  for (const [outcome, status] of [['complete', 'interrupted'], ['cancelled', 'cancelled'], ['error', 'error']] as const) {
    const { opened, open } = gate<number>()
    const { context, tool, closed } = use(() => opened)
    tool.close(outcome)
    tool.close('error')
    await t.rejects(tool.done, { code: 'RT_ERR_RUN_ENDED' })
    open(1)
    await opened
    t.strictSame(context.types, ['tool_call', 'tool_output'])
    t.match(context.published[1], { data: { status } })
    t.equal(closed(), 1)
  }
})

t.test('an output that cannot be sent is logged and omitted, and the handler gets it', async t => {
  for (const output of [1n, 'x'.repeat(10_000), { toJSON () { throw new Error('no') } }, () => {}, { rows: [Symbol('s')] }, new Map([[1, 2]])]) {
    const { context, tool } = use(() => output)
    t.equal(await tool.done, output)
    t.match(context.published[1], { data: { status: 'complete', output: undefined } })
    t.match(context.logged, [/output of a tool is not shown/])
    t.match(context.loggedFields, [{ callId: 'c' }])
  }
  const { context, tool } = use(() => {})
  t.equal(await tool.done, undefined)
  t.strictSame(context.logged, [])
})

t.test('an output is sent up to limits.message minus 1,024 bytes', async t => {
  for (const [length, isShown] of [[10_000 - 1_024 - 2, true], [10_000 - 1_024 - 1, false]] as const) {
    const output = 'x'.repeat(length)
    const { context, tool } = use(() => output)
    await tool.done
    t.equal(context.published[1].data.output, isShown ? output : undefined)
  }
})

t.test('the log names the field of an output that is not JSON', async t => {
  const { context, tool } = use(() => ({ rows: [1n] }))
  await tool.done
  t.match(context.loggedFields, [{ err: { message: /output\/rows\/0/ } }])
})

t.test('an output is sent as it was when the tool ended, even if the handler changes it later', async t => {
  const result: Record<string, unknown> = { at: new Date(0), list: [1], of: undefined }
  const context = new FakeContext()
  const delivered: Array<{ type: string, data?: unknown }> = []
  context.deliver = message => { delivered.push(message) }
  const { tool } = use(() => result, context)
  t.equal(await tool.done, result)
  Object.assign(result, { at: 5, more: 1 })
  t.strictSame((delivered[0].data as { output: unknown }).output, { at: '1970-01-01T00:00:00.000Z', list: [1] })

  const plain = { list: [1] }
  await use(() => plain, context).tool.done
  plain.list.push(2)
  t.strictSame((delivered[1].data as { output: unknown }).output, { list: [1] })
})

t.test('progress that the broker does not store is logged', async t => {
  for (const answer of [down, async () => down()]) {
    const { opened, open } = gate()
    const { context, tool } = use(async ({ progress }) => {
      progress(1)
      await opened
    })
    context.answer = answer
    context.turn()
    open()
    await tool.done
    t.match(context.logged, [/progress was not shown/])
    t.match(context.loggedFields, [{ callId: 'c' }])
  }
})

t.test('a tool is not executed unless its call is stored', async t => {
  const notJson = () => { throw new Error('not JSON') }
  const rows = [[down, 'tool_output', 'error'], [async () => down(), 'tool_output', 'error'], [notJson, undefined, undefined]] as const
  for (const [answer, told, status] of rows) {
    const context = new FakeContext()
    context.answer = answer
    const { tool, closed } = use(() => t.fail('it worked'), context)
    await t.rejects(tool.done)
    t.equal(closed(), 1)
    tool.close('error')
    t.equal(closed(), 1)
    t.equal(context.types.at(-1), told, 'a broker that does not answer may have stored it')
    t.equal(context.published.at(-1)?.data.status, status)
  }
  const context = new FakeContext()
  const { opened, open } = gate()
  context.answer = () => opened
  const { tool } = use(() => t.fail('it worked'), context)
  tool.close('cancelled')
  open()
  await t.rejects(tool.done, { code: 'RT_ERR_RUN_ENDED' })
  t.strictSame(context.types, ['tool_call', 'tool_output'])
})

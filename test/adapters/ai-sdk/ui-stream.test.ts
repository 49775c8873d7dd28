import type { UIMessageChunk } from 'ai'
import t from 'tap'
import { FollowedRun } from '../../../lib/adapters/ai-sdk/run.js'
import { errorTextOf, UiStream } from '../../../lib/adapters/ai-sdk/ui-stream.js'

function streaming () {
  const run = new FollowedRun('r')
  const apply = (type: string, data: object) => run.apply({ type, data: { run_id: 'r', ...data }, timestamp: '' } as never)
  return {
    run,
    delta: (at: number, text: string) => apply('chat_delta', { message_id: 'a', at, text }),
    message: (content: string, status = 'complete') => apply('chat_message', { message_id: 'a', content, status }),
    apply
  }
}

async function all (stream: ReadableStream<UIMessageChunk>): Promise<UIMessageChunk[]> {
  const chunks: UIMessageChunk[] = []
  for await (const chunk of stream as unknown as AsyncIterable<UIMessageChunk>) chunks.push(chunk)
  return chunks
}

const types = (chunks: UIMessageChunk[]) => chunks.map(({ type }) => type)

t.test('a stream that is not read holds few chunks, and gets the rest of the text in one chunk', async t => {
  const { run, delta, message } = streaming()
  const ui = new UiStream()
  ui.read(run)
  let text = ''
  for (let n = 0; n < 5_000; n++) {
    delta(text.length, `${n} `)
    text += `${n} `
  }
  message(text)
  run.end({ status: 'complete' })
  const chunks = await all(ui.stream)
  t.ok(chunks.length < 20, `${chunks.length} chunks`)
  t.equal(chunks.map(chunk => chunk.type === 'text-delta' ? chunk.delta : '').join(''), text)
  t.equal(chunks.at(-1)!.type, 'finish')
})

t.test('a stream that begins late gets only the current content of the run', async t => {
  const { run, message, apply } = streaming()
  message('one')
  message('two', 'streaming')
  apply('tool_call', { call_id: 't', name: 'x', args: {} })
  apply('tool_progress', { call_id: 't', progress: 1 })
  apply('tool_output', { call_id: 't', name: 'x', status: 'complete', output: 2 })
  const ui = new UiStream('m')
  ui.read(run)
  ui.read(new FollowedRun('another'))
  apply('run_finished', { status: 'cancelled' })
  const chunks = await all(ui.stream)
  t.strictSame(types(chunks), ['start', 'text-start', 'text-delta', 'tool-input-available', 'tool-output-available', 'text-end', 'abort'])
  t.match(chunks, [{ messageId: 'm' }, {}, { delta: 'two' }])
  t.equal(run.readers.size, 0)
})

t.test('a text that was streamed and is replaced ends with replaced: true', async t => {
  const { run, message } = streaming()
  const ui = new UiStream()
  ui.read(run)
  message('one', 'streaming')
  message('two')
  run.end({ status: 'complete' })
  const chunks = await all(ui.stream)
  t.match(chunks.slice(1, 7), [
    { type: 'text-start', id: 'a' }, { type: 'text-delta', delta: 'one' },
    { type: 'text-end', id: 'a', providerMetadata: { 'fastify-realtime': { message_id: 'a', replaced: true } } },
    { type: 'text-start', id: 'a~1' }, { type: 'text-delta', id: 'a~1', delta: 'two' },
    { type: 'text-end', id: 'a~1', providerMetadata: { 'fastify-realtime': { message_id: 'a' } } }
  ])
})

t.test('a stream ends once', async t => {
  for (const end of ['abort', 'fail', 'run', 'cancel']) {
    const { run } = streaming()
    const ui = new UiStream()
    let ends = 0
    ui.onEnd(() => { ends++ })
    ui.read(run)
    if (end === 'cancel') await ui.stream.cancel()
    if (end === 'abort') ui.abort()
    if (end === 'fail') ui.fail('No.')
    if (end === 'run') run.end({ status: 'interrupted' })
    ui.abort()
    ui.fail('late')
    ui.read(new FollowedRun('late'))
    t.equal(ui.isEnded, true)
    t.equal(ends, 1)
    t.equal(run.readers.size, 0)
    const last = { abort: [{ type: 'abort' }], fail: [{ type: 'error', errorText: 'No.' }], run: [{ type: 'error', errorText: 'interrupted' }], cancel: [] }[end]!
    t.strictSame((await all(ui.stream)).slice(1), last)
  }
})

t.test('errors begin with their code', async t => {
  t.equal(errorTextOf({ code: 'chat_busy', message: 'wait' }), 'chat_busy: wait')
  t.equal(errorTextOf({ code: 'chat_busy', message: '' }), 'chat_busy')
})

t.test('a tool whose call comes with its output is streamed after the pause with the answer to its approval and its output', async t => {
  const { run, delta, apply } = streaming()
  const [request, response] = [{ type: 'tool-approval-request', approvalId: 'q', toolCallId: 't' }, { type: 'tool-approval-response', approvalId: 'q', approved: true }]
  const pause = (type: string) => apply('chat_part', { message_id: 'm', part_id: type, kind: 'data', name: 'ai_sdk', value: { type } })
  delta(0, 'Wait.')
  apply('tool_output', {
    call_id: 't',
    name: 'pay',
    status: 'complete',
    output: 'paid',
    ai_sdk: { approval: [request, response], ended: true },
    call: { type: 'tool_call', data: { run_id: 'r', call_id: 't', name: 'pay', args: {}, ai_sdk: {} }, timestamp: '' }
  })
  pause('pause')
  pause('continue')
  run.end({ status: 'complete' })
  const ui = new UiStream('m')
  ui.readOn(run)
  t.match(await all(ui.stream), [{ type: 'start' }, { type: 'text-end' }, response, { type: 'tool-output-available', output: 'paid' }, { type: 'finish' }])
})

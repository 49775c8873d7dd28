import t from 'tap'
import { UiWriter } from '../../../lib/chat/sources/ui-writer.js'
import type { Reply } from '../../../lib/index.js'
import { gate, loopTurns } from '../../waiting.js'

t.test('a chunk without its beginning is carried as it is', async t => {
  const data: unknown[] = []
  const writer = new UiWriter({ data: async (name: string, value: unknown) => { data.push([name, value]) } } as unknown as Reply)
  const chunks = [
    { type: 'text-delta', id: 'x', delta: 'a' }, { type: 'text-end', id: 'x' }, { type: 'tool-input-delta', toolCallId: 'c', inputTextDelta: '{' },
    { type: 'tool-output-available', toolCallId: 'c', output: 1 }, { type: 'tool-output-error', toolCallId: 'c', errorText: 'e' },
    { type: 'tool-approval-request', toolCallId: 'c', approvalId: 'a' }, { type: 'tool-approval-response', approvalId: 'a', approved: true }, { type: 'new-type' }
  ]
  for (const chunk of chunks) await writer.write(chunk as never)
  t.strictSame(data, chunks.map(chunk => ['ai_sdk', chunk]))
  t.strictSame(writer.requests, [])
})

t.test('an answer that continues a message says so once, before its first content', async t => {
  const data: unknown[] = []
  const reply = { data: async (_name: string, value: unknown) => { data.push(value) }, addMetadata () {}, step: async () => {} }
  const writer = new UiWriter(reply as unknown as Reply, { messageId: 'm1' } as never)
  for (const type of ['new-type', 'newer-type']) await writer.write({ type } as never)
  t.strictSame(data, [{ type: 'continues', messageId: 'm1' }, { type: 'new-type' }, { type: 'newer-type' }])
})

t.test('the chunk after a delta waits until the reply has room', async t => {
  const room = gate()
  const reply = { addText: () => ({ write: () => true }), ready: () => room.opened }
  const writer = new UiWriter(reply as unknown as Reply)
  await writer.write({ type: 'text-start', id: 'x' })
  let isDone = false
  const written = writer.write({ type: 'text-delta', id: 'x', delta: 'a' }).then(() => { isDone = true })
  await loopTurns()
  t.equal(isDone, false)
  room.open()
  await written
})

t.test('the texts of a step get nothing after its end: a chunk for one of them is carried as it is', async t => {
  const written: unknown[] = []
  const writer = new UiWriter({
    data: async (_name: string, value: unknown) => { written.push(value) },
    addText: () => ({ write: (text: string) => { written.push(text) }, end: async () => { written.push('end') } }),
    ready: async () => {}
  } as unknown as Reply)
  const late = { type: 'text-delta', id: 'x', delta: 'b' }
  for (const chunk of [{ type: 'text-start', id: 'x' }, { type: 'text-delta', id: 'x', delta: 'a' }, { type: 'finish-step' }, late]) await writer.write(chunk as never)
  t.strictSame(written, ['a', 'end', late])
})

/** Records the calls of a reply. */
function recorded () {
  const calls: unknown[][] = []
  const record = (...call: unknown[]) => { calls.push(call.filter(part => part !== undefined)) }
  const writerOf = (kind: string) => ({ fields }: { fields: object }) => {
    record(kind, fields)
    return {
      write: (text: string, fields?: object) => record(`${kind} write`, text, fields),
      end: async (fields: object) => record(`${kind} end`, fields)
    }
  }
  const reply = {
    addText: writerOf('text'),
    reasoning: writerOf('reasoning'),
    call: (name: string, { id, fields }: { id: string, fields?: object }) => {
      record('tool', name, id, fields)
      return {
        write: (text: string) => record('input', id, text),
        call: async (args: unknown, fields: object) => record('called', id, args, fields),
        progress: async (value: unknown, fields: object) => record('progress', id, value, fields),
        output: async (value: unknown, fields: object) => record('output', id, value, fields),
        fail: async (error: object, fields: object) => record('fail', id, error, fields)
      }
    },
    source: async (value: object, { fields }: { fields: object }) => record('source', value, fields),
    file: async (value: object, { fields }: { fields: object }) => record('file', value, fields),
    data: async (name: string, value: unknown, options?: object) => record('data', name, value, options),
    step: async () => record('step'),
    metadata: async (value: unknown, { fields }: { fields: object }) => record('metadata', value, fields),
    ready: async () => {}
  }
  const writer = new UiWriter(reply as unknown as Reply)
  const write = async (...chunks: object[]) => {
    calls.length = 0
    for (const chunk of chunks) await writer.write(chunk as never)
    return calls
  }
  return { writer, write }
}

const native = (fields: object) => ({ ai_sdk: fields })

t.test('a text and a reasoning keep the metadata of the provider: that of the beginning, or the latest one', async t => {
  const { write } = recorded()
  t.strictSame(await write(
    { type: 'text-start', id: 'x', providerMetadata: { n: 1 } }, { type: 'reasoning-start', id: 'x' }, { type: 'text-delta', id: 'x', delta: 'a' },
    { type: 'reasoning-delta', id: 'x', delta: 'Hm', providerMetadata: { n: 2 } }, { type: 'reasoning-end', id: 'x' },
    { type: 'text-end', id: 'x', providerMetadata: { n: 3 }, citations: [1] }
  ), [
    ['text', native({ providerMetadata: { n: 1 } })], ['reasoning', native({ id: 'x' })], ['text write', 'a'],
    ['reasoning write', 'Hm', native({ id: 'x', providerMetadata: { n: 2 } })],
    ['reasoning end', native({ id: 'x', providerMetadata: { n: 2 }, ended: true })],
    ['text end', native({ providerMetadata: { n: 3 }, citations: [1], ended: true })]
  ])
  const late = [{ type: 'text-delta', id: 'x', delta: 'b' }, { type: 'reasoning-end', id: 'x' }]
  t.strictSame(await write(...late), late.map(chunk => ['data', 'ai_sdk', chunk]), 'they have ended')
})

t.test('a call has its arguments as they grow, then whole, then its preliminary outputs and its output', async t => {
  const { write } = recorded()
  const about = { toolCallId: 'c', toolName: 'find' }
  t.strictSame(await write(
    { type: 'tool-input-start', ...about, title: 'Find', dynamic: true }, { type: 'tool-input-delta', toolCallId: 'c', inputTextDelta: '{"q":1}' },
    { type: 'tool-input-available', ...about, input: { q: 1 }, providerExecuted: true },
    { type: 'tool-output-available', toolCallId: 'c', output: 1, preliminary: true }, { type: 'tool-output-available', toolCallId: 'c', output: 2, preliminary: true },
    { type: 'tool-output-available', toolCallId: 'c', output: 3, toolMetadata: { m: 1 } }
  ), [
    ['tool', 'find', 'c', { title: 'Find', ...native({ dynamic: true, title: 'Find' }) }], ['input', 'c', '{"q":1}'],
    ['called', 'c', { q: 1 }, { title: 'Find', ...native({ dynamic: true, title: 'Find', providerExecuted: true }) }],
    ['progress', 'c', 1, native({ preliminary: { count: 1, after: 0 } })], ['progress', 'c', 2, native({ preliminary: { count: 2, after: 0 } })],
    ['output', 'c', 3, native({ preliminary: { count: 2, after: 0 }, toolMetadata: { m: 1 }, ended: true })]
  ])
  const again = { type: 'tool-output-available', toolCallId: 'c', output: 4 }
  t.strictSame(await write(again), [['data', 'ai_sdk', again]])
  t.strictSame(await write({ type: 'tool-input-available', toolCallId: 'd', toolName: 'check', input: 1 }),
    [['tool', 'check', 'd'], ['called', 'd', 1, native({})]], 'a call whose arguments come at once')
  const kept = { providerExecuted: true, providerMetadata: { n: 1 }, toolMetadata: { m: 1 }, dynamic: false, title: 'T', inputEncoding: 'json' }
  t.strictSame(await write({ type: 'tool-input-start', toolCallId: 'e', toolName: 'check', ...kept, other: 1 }), [['tool', 'check', 'e', { title: 'T', ...native(kept) }]])
})

t.test('a call fails with its own error, with that of its arguments, or because a user denied it', async t => {
  const { write } = recorded()
  const call = (toolCallId: string) => ({ type: 'tool-input-available', toolCallId, toolName: 'find', input: {} })
  t.strictSame((await write(call('a'), { type: 'tool-output-error', toolCallId: 'a', errorText: 'No.', dynamic: true })).slice(2),
    [['fail', 'a', { code: 'tool_failed', message: 'No.' }, native({ dynamic: true, ended: true })]])
  t.strictSame((await write(call('b'), { type: 'tool-output-denied', toolCallId: 'b' })).slice(2),
    [['fail', 'b', { code: 'denied', message: 'the user denied the call' }, native({ isDenied: true, ended: true })]])
  t.strictSame((await write(call('c'), { type: 'tool-output-available', toolCallId: 'c', output: 1, preliminary: true }, { type: 'tool-output-denied', toolCallId: 'c' })).at(-1),
    ['fail', 'c', { code: 'denied', message: 'the user denied the call' }, { ...native({ preliminary: { count: 1, after: 0 }, isDenied: true, ended: true }), progress: 1 }])
  const invalid = { type: 'tool-input-error', toolCallId: 'd', toolName: 'find', input: '{', errorText: 'not JSON', dynamic: true }
  const kept = native({ dynamic: true, title: 'Find', input: '{', isInput: true, ended: true })
  t.strictSame((await write({ type: 'tool-input-start', toolCallId: 'd', toolName: 'find', title: 'Find' }, invalid)).at(-1),
    ['fail', 'd', { code: 'invalid_input', message: 'not JSON' }, kept])
  t.strictSame(await write(invalid), [['data', 'ai_sdk', invalid]], 'it has failed')
  t.strictSame(await write({ ...invalid, toolCallId: 'e' }), [
    ['tool', 'find', 'e'], ['fail', 'e', { code: 'invalid_input', message: 'not JSON' }, native({ dynamic: true, input: '{', isInput: true, ended: true })]
  ])
})

t.test('a request for approval is published with its tool call, and the writer lists the requests that a user has to answer', async t => {
  const { writer, write } = recorded()
  const request = { type: 'tool-approval-request', toolCallId: 'c', approvalId: 'a' }
  const automatic = { type: 'tool-approval-request', toolCallId: 'c', approvalId: 'b', isAutomatic: true }
  const response = { type: 'tool-approval-response', approvalId: 'a', approved: true }
  t.strictSame((await write(
    { type: 'tool-input-available', toolCallId: 'c', toolName: 'find', input: {} }, request, automatic, response,
    { type: 'tool-output-available', toolCallId: 'c', output: 1, preliminary: true }
  )).slice(2), [
    ['progress', 'c', native({ approval: [request] })], ['progress', 'c', native({ approval: [request, automatic] })],
    ['progress', 'c', native({ approval: [request, automatic, response] })],
    ['progress', 'c', 1, native({ approval: [request, automatic, response], preliminary: { count: 1, after: 3 } })]
  ])
  t.strictSame(writer.requests, [{ toolCallId: 'c', toolName: 'find', chunk: request }])
  await write({ type: 'tool-output-available', toolCallId: 'c', output: 2 })
  const late = { ...request, approvalId: 'd' }
  t.strictSame(await write(late), [['data', 'ai_sdk', late]])
  t.match(writer.requests.at(-1), { toolName: 'find', chunk: late }, 'a user has to give it nevertheless')
})

t.test('a call that begins again, or whose arguments go on in another step, is carried as it is', async t => {
  for (const between of [{ type: 'tool-input-start', toolCallId: 'c', toolName: 'find' }, { type: 'start-step' }]) {
    const { write } = recorded()
    await write({ type: 'tool-input-start', toolCallId: 'c', toolName: 'find' }, between)
    for (const chunk of [{ type: 'tool-input-delta', toolCallId: 'c', inputTextDelta: '{' }, { type: 'tool-input-available', toolCallId: 'c', toolName: 'find', input: {} }]) {
      t.strictSame(await write(chunk), [['data', 'ai_sdk', chunk]])
    }
  }
  const { write } = recorded()
  const output = { type: 'tool-output-available', toolCallId: 'c', output: 1 }
  t.strictSame((await write({ type: 'tool-input-available', toolCallId: 'c', toolName: 'find', input: {} }, { type: 'start-step' }, output)).at(-1),
    ['output', 'c', 1, native({ ended: true })], 'the output of a whole call may come in another step')
})

t.test('a step that begins again ends its texts and calls, and its data get new ids', async t => {
  const { write } = recorded()
  const call = (toolCallId: string) => ({ type: 'tool-input-available', toolCallId, toolName: 'find', input: {} })
  const data = { type: 'data-map', id: 'm', data: 1 }
  t.strictSame(await write(data), [['data', 'map', 1, { id: 'map m 0', isTransient: false, fields: native({ id: 'm' }) }]])
  await write(call('a'), { type: 'start-step' }, call('b'), { type: 'text-start', id: 'x' })
  const reset = { type: 'reset-step' }
  t.strictSame(await write(reset), [
    ['text end', native({})], ['fail', 'b', { code: 'reset', message: 'the model began this step again' }, native({ ended: true })], ['data', 'ai_sdk', reset]
  ])
  t.match(await write(data), [['data', 'map', 1, { id: 'map m 1' }]])
  const late = { type: 'tool-output-available', toolCallId: 'b', output: 1 }
  t.strictSame(await write(late, { ...late, toolCallId: 'a' }), [['data', 'ai_sdk', late], ['output', 'a', 1, native({ ended: true })]])
})

t.test('sources, files, data and steps become parts that keep the fields of their chunks', async t => {
  const { write } = recorded()
  t.strictSame(await write(
    { type: 'source-url', sourceId: 's', url: 'u', title: 'A', providerMetadata: { n: 1 } },
    { type: 'source-document', sourceId: 'd', title: 'B', mediaType: 'text/plain', filename: 'b.txt' },
    { type: 'file', url: 'data:,', mediaType: 'a/b', providerMetadata: { n: 2 } }, { type: 'reasoning-file', url: 'data:,', mediaType: 'a/b' },
    { type: 'data-hint', data: 1, transient: true }, { type: 'start-step' }
  ), [
    ['source', { url: 'u', title: 'A', id: 's' }, native({ providerMetadata: { n: 1 } })],
    ['source', { title: 'B', media_type: 'text/plain', filename: 'b.txt', id: 'd' }, native({})],
    ['file', { url: 'data:,', media_type: 'a/b' }, native({ providerMetadata: { n: 2 } })],
    ['file', { url: 'data:,', media_type: 'a/b' }, native({ isReasoning: true })],
    ['data', 'hint', 1, { id: undefined, isTransient: true, fields: native({}) }], ['step']
  ])
})

t.test('metadata are merged, and published when they or the finish reason change', async t => {
  const { write } = recorded()
  t.strictSame(await write(
    { type: 'start' }, { type: 'start', messageMetadata: { a: { b: 1, l: [1] }, n: 1 } },
    { type: 'message-metadata', messageMetadata: { a: { c: 2, l: [2] }, n: undefined } }, { type: 'finish', finishReason: 'stop' },
    { type: 'message-metadata', messageMetadata: 'text' }
  ), [
    ['metadata', { a: { b: 1, l: [1] }, n: 1 }, native({})], ['metadata', { a: { b: 1, c: 2, l: [2] }, n: 1 }, native({})],
    ['metadata', { a: { b: 1, c: 2, l: [2] }, n: 1 }, native({ finishReason: 'stop' })], ['metadata', 'text', native({ finishReason: 'stop' })]
  ])
})

t.test('a wait for approvals, and its end, are parts of their own', async t => {
  const { writer, write } = recorded()
  const calls = await write()
  for (const isWaiting of [true, false]) await writer.wait(isWaiting)
  t.strictSame(calls, [['data', 'ai_sdk', { type: 'pause' }], ['data', 'ai_sdk', { type: 'continue' }]])
})

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

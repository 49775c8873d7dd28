import t from 'tap'
import { UiWriter } from '../../../lib/chat/sources/ui-writer.js'
import type { Reply } from '../../../lib/index.js'

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

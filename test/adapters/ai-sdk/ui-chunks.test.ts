import t from 'tap'
import { chunkOf, chunksAfter, partCursor } from '../../../lib/adapters/ai-sdk/ui-chunks.js'

t.test('a part becomes the chunks after its cursor, once', async t => {
  const cursor = partCursor()
  const part = { kind: 'text', id: '/a 1', messageId: '/a', text: 'hm', isDone: true, isReplaced: false, isReasoning: true } as const
  t.match(chunksAfter(part, cursor), [{ type: 'reasoning-start' }, { type: 'reasoning-delta', delta: 'hm' }, { type: 'reasoning-end' }])
  t.strictSame(chunksAfter(part, cursor), [])
  const tool = { kind: 'tool', callId: 'c', name: 'n', args: undefined, inputText: '{', native: {} } as const
  const atTool = partCursor()
  t.match(chunksAfter(tool, atTool), [{ type: 'tool-input-start' }, { type: 'tool-input-delta', inputTextDelta: '{' }])
  t.match(chunksAfter({ ...tool, isCut: true, outcome: { status: 'cancelled' } }, atTool), [{ type: 'tool-output-error', errorText: 'cancelled' }])
})

t.test('other parts are one chunk each', async t => {
  const chunk = (kind: string, more: object) => chunkOf({ message_id: '/a', part_id: '1', kind, ...more })
  t.strictSame(chunk('step', {}), { type: 'start-step' })
  t.strictSame(chunk('data', { name: 'n', value: 1 }), { type: 'data-n', data: 1, id: '1' })
  t.strictSame(chunk('data', { name: 'ai_sdk', value: { type: 'custom' } }), { type: 'custom' })
  t.strictSame(chunk('source', { value: { url: 'u' } }), { type: 'source-url', sourceId: '1', url: 'u' })
  t.strictSame(chunk('source', { value: { title: 't', media_type: 'm' } }), { type: 'source-document', sourceId: '1', mediaType: 'm', title: 't' })
  t.strictSame(chunk('file', { value: { url: 'u', media_type: 'm' } }), { type: 'file', url: 'u', mediaType: 'm' })
  t.strictSame(chunk('message', { value: 1 }), { type: 'message-metadata', messageMetadata: 1 })
  t.strictSame([chunk('message', {}), chunk('unknown', {})], [undefined, undefined])
})

import t from 'tap'
import { GrowingText } from '../../../lib/chat/log/growing-text.js'
import { formOfType, headOf, restOf, wholeOf } from '../../../lib/chat/log/streaming.js'

function twoPieces () {
  const text = new GrowingText(0)
  text.append(1, 'one ')
  text.append(2, 'two')
  return text
}

t.test('the rest of a message is a snapshot for a reader that has none of it, and a delta for one that has a part', async t => {
  const streaming = { text: twoPieces(), form: 'message' as const, head: { message_id: 'm', agent: 'x' }, timestamp: 'now' }
  const whole = { message_id: 'm', agent: 'x', role: 'assistant', content: 'one two', status: 'streaming' }
  t.strictSame(JSON.parse(restOf(streaming, 0, 0)), { type: 'chat_message', data: whole, timestamp: 'now' })
  const rest = { message_id: 'm', agent: 'x', at: 4, text: 'two' }
  t.strictSame(JSON.parse(restOf(streaming, 1, 0)), { type: 'chat_delta', data: rest, timestamp: 'now' })
})

t.test('the rest of a part has the types of parts, and no role', async t => {
  const streaming = { text: twoPieces(), form: 'part' as const, head: { message_id: 'm', part_id: '1', kind: 'reasoning' }, timestamp: 'now' }
  const head = { message_id: 'm', part_id: '1', kind: 'reasoning' }
  t.strictSame(JSON.parse(restOf(streaming, 0, 0)), { type: 'chat_part', data: { ...head, text: 'one two', status: 'streaming' }, timestamp: 'now' })
  t.strictSame(JSON.parse(restOf(streaming, 1, 0)), { type: 'chat_part_delta', data: { ...head, at: 4, text: 'two' }, timestamp: 'now' })
  t.strictSame(wholeOf(streaming, 'x', 'interrupted').data, { ...head, text: 'x', status: 'interrupted' })
})

t.test('the head of a publication is without its text', async t => {
  t.strictSame(headOf('chat_message', { message_id: 'm', content: 'a', status: 'streaming', text: 'of the app' }), { message_id: 'm', text: 'of the app' })
  for (const type of ['chat_delta', 'chat_part_delta', 'chat_part']) t.strictSame(headOf(type, { message_id: 'm', at: 0, text: 'a', status: 's' }), { message_id: 'm' })
  t.strictSame(['chat_delta', 'chat_message', 'chat_part_delta', 'chat_part'].map(formOfType), ['message', 'message', 'part', 'part'])
})

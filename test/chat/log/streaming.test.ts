import t from 'tap'
import { GrowingText } from '../../../lib/chat/log/growing-text.js'
import { isDelta, isMessageSnapshot, restOf } from '../../../lib/chat/log/streaming.js'

t.test('a delta and a snapshot are recognised by their fields', async t => {
  const delta = { message_id: 'm', at: 0, text: '' }
  t.ok(isDelta(delta))
  for (const wrong of [{ at: -1 }, { at: 0.5 }, { at: '0' }, { text: 1 }, { message_id: 1 }]) t.notOk(isDelta({ ...delta, ...wrong }))
  t.ok(isMessageSnapshot({ message_id: 'm', content: '' }))
  for (const wrong of [{ content: 1 }, { message_id: undefined }]) t.notOk(isMessageSnapshot({ message_id: 'm', content: '', ...wrong }))
})

t.test('the rest of a message is a snapshot for a reader that has none of it, and a delta for one that has a part', async t => {
  const text = new GrowingText(0)
  text.append(1, 'one ')
  text.append(2, 'two')
  const streaming = { text, head: { message_id: 'm', agent: 'x' }, timestamp: 'now' }
  const whole = { message_id: 'm', agent: 'x', role: 'assistant', content: 'one two', status: 'streaming' }
  t.strictSame(JSON.parse(restOf(streaming, 0, 0)), { type: 'chat_message', data: whole, timestamp: 'now' })
  const rest = { message_id: 'm', agent: 'x', at: 4, text: 'two' }
  t.strictSame(JSON.parse(restOf(streaming, 1, 0)), { type: 'chat_delta', data: rest, timestamp: 'now' })
})

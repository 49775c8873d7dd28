import t from 'tap'
import { GrowingText } from '../../../../lib/chat/log/text/growing-text.js'
import { begun, extended, restOf, wholeOf, type Streaming } from '../../../../lib/chat/log/text/streaming.js'

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

t.test('a text has the fields of its publications, without their text, place and status', async t => {
  const publication = (type: string, data: Record<string, unknown>) => ({ offset: 1, type, data: { message_id: 'm', ...data }, timestamp: 'now' })
  const growth = { text: 'a', isOpen: true }
  t.match(begun(growth, publication('chat_message', { content: 'a', status: 'streaming', text: 'of the app' })),
    { form: 'message', head: { message_id: 'm', text: 'of the app' }, timestamp: 'now' })
  t.strictSame(begun(growth, publication('chat_message', { content: 'a', status: 'streaming' })).head, { message_id: 'm' })
  for (const [type, form] of [['chat_delta', 'message'], ['chat_part_delta', 'part'], ['chat_part', 'part']]) {
    t.strictSame(begun(growth, publication(type, { at: 0, text: 'a', status: 's' })).head, { message_id: 'm' })
    t.equal(extended(undefined, growth, publication(type, {})).form, form)
  }
})

t.test('a text continues where it ends, is replaced from an earlier place on, and begins again after a gap', async t => {
  const delta = (offset: number, data: Record<string, unknown> = {}) => ({ offset, type: 'chat_delta', data, timestamp: `${offset}` })
  const growth = (at: number, text: string) => ({ at, text, isOpen: true })
  const textOf = ({ text }: Streaming) => [text.base, text.slice(0)]
  const first = begun({ text: 'abc', isOpen: true }, delta(3, { agent: 'x', n: 1 }))
  const continued = extended(first, growth(3, 'de'), delta(4, { n: 2 }))
  t.equal(continued, first, 'without copying the text')
  t.strictSame([textOf(continued), continued.head, continued.timestamp], [[0, 'abcde'], { agent: 'x', n: 2 }, '4'])
  t.strictSame([continued.text.lengthAt(3, 0), continued.text.lengthAt(2, 0)], [3, 0])

  const { head } = continued
  t.equal(extended(first, growth(5, ''), delta(4, { n: 2, at: 5, text: '', status: 's' })).head, head, 'without copying fields that stay the same')
  const replaced = extended(first, growth(1, 'X'), delta(5))
  t.strictSame([textOf(replaced), replaced.text.lengthAt(4, 0)], [[0, 'aX'], 0], 'readers get the whole text')
  const beyond = extended(first, growth(6, 'Y'), delta(6))
  t.strictSame(textOf(beyond), [6, 'Y'])
  t.strictSame(textOf(extended(beyond, growth(6, 'Z'), delta(7))), [6, 'Z'])
  t.strictSame(textOf(extended(beyond, growth(7, '!'), delta(8))), [6, 'Y!'])
  t.strictSame(textOf(extended(beyond, growth(5, 'W'), delta(9))), [5, 'W'], 'what is before it is not known')
})

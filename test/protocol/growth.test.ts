import t from 'tap'
import { grown, growthOf, keyedGrowthOf, messageKey, partKey } from '../../lib/protocol/growth.js'

t.test('a delta continues its text, and a whole text replaces it', async t => {
  const message = { message_id: 'm' }
  const part = { message_id: 'm', kind: 'reasoning', part_id: '1' }
  t.strictSame(keyedGrowthOf('chat_delta', { ...message, at: 2, text: 'x' }), { key: messageKey('m'), at: 2, text: 'x', isOpen: true })
  t.strictSame(keyedGrowthOf('chat_message', { ...message, content: 'x', status: 'streaming' }), { key: messageKey('m'), text: 'x', isOpen: true })
  t.strictSame(keyedGrowthOf('chat_message', { ...message, content: 'x' }), { key: messageKey('m'), text: 'x', isOpen: false })
  t.strictSame(keyedGrowthOf('chat_part_delta', { ...part, at: 0, text: 'x' }), { key: partKey('m', 'reasoning', '1'), at: 0, text: 'x', isOpen: true })
  t.strictSame(keyedGrowthOf('chat_part', { ...part, text: 'x', status: 'complete' }), { key: partKey('m', 'reasoning', '1'), text: 'x', isOpen: false })
})

t.test('each text of a chat has a key of its own', async t => {
  const keys = [
    messageKey('m'), messageKey('n'), partKey('m', 'tool', '1'), partKey('n', 'tool', '1'), partKey('m', 'source', '1'), partKey('m', 'tool', '2')
  ]
  t.equal(new Set(keys).size, keys.length, keys.join())
})

t.test('a growth without a key needs no ids', async t => {
  t.strictSame(growthOf('chat_part_delta', { at: 2, text: 'x' }), { at: 2, text: 'x', isOpen: true })
  t.strictSame(growthOf('chat_message', { content: 'x' }), { text: 'x', isOpen: false })
})

t.test('other publications, and those with a wrong field, are no growth', async t => {
  const delta = { message_id: 'm', part_id: '1', at: 0, text: '' }
  for (const type of ['chat_delta', 'chat_part_delta']) {
    t.ok(keyedGrowthOf(type, delta))
    for (const wrong of [{ at: -1 }, { at: 0.5 }, { at: '0' }, { text: 1 }, { message_id: 1 }]) t.equal(keyedGrowthOf(type, { ...delta, ...wrong }), undefined)
  }
  t.equal(keyedGrowthOf('chat_part_delta', { ...delta, part_id: 1 }), undefined)
  t.equal(keyedGrowthOf('chat_message', { message_id: 'm', content: 1 }), undefined)
  t.equal(keyedGrowthOf('chat_message', { content: 'without an id' }), undefined)
  t.equal(keyedGrowthOf('chat_part', { message_id: 'm', part_id: '1', kind: 'step' }), undefined)
  t.equal(keyedGrowthOf('tool_call', { message_id: 'm', content: '' }), undefined)
})

t.test('applying the same growths again gives the same text', async t => {
  const deltas = [[0, 'one '], [4, 'two'], [7, '!']] as const
  let text: string | undefined
  for (let times = 0; times < 2; times++) {
    for (const [at, more] of deltas) text = grown(text, { at, text: more, isOpen: true })
    t.equal(text, 'one two!')
  }
  t.equal(grown(text, { text: 'new', isOpen: false }), 'new')
  t.equal(grown(undefined, { at: 3, text: 'x', isOpen: true }), undefined, 'the text before is unknown')
})

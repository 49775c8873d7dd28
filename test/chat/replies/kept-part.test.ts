import t from 'tap'
import { KeptPart } from '../../../lib/chat/replies/kept-part.js'

t.test('a part that is being written is read from what writes it, until it is finished', async t => {
  const writing = { saved: { kind: 'text', part_id: 'a', text: 'so' } as const }
  const part = new KeptPart(writing)
  t.equal(part.isSet, false)
  writing.saved = { kind: 'text', part_id: 'a', text: 'so far' } as any
  t.strictSame(part.saved, writing.saved)
  part.finish()
  t.equal(part.isSet, true)
  writing.saved = { kind: 'text', part_id: 'a', text: 'later' } as any
  t.strictSame(part.saved, { kind: 'text', part_id: 'a', text: 'so far' })
})

t.test('a finished part does not change with its values, and a value that is not JSON is rejected', async t => {
  const value = { n: 1 }
  const part = new KeptPart()
  part.set({ kind: 'source', part_id: '1', value })
  value.n = 2
  t.strictSame(part.saved, { kind: 'source', part_id: '1', value: { n: 1 } })
  t.throws(() => part.set({ kind: 'source', part_id: '1', value: 1n }), TypeError)
  t.strictSame(part.saved, { kind: 'source', part_id: '1', value: { n: 1 } })
})

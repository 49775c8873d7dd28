import t from 'tap'
import { isBlank, savedCall, textOf } from '../../lib/chat/saved-part.js'

t.test('a saved call keeps the fields of the call that its outcome replaces', async t => {
  t.strictSame(savedCall({ args: 1, ai_sdk: { title: 'a' } }), { args: 1, ai_sdk: { title: 'a' } })
  t.strictSame(savedCall({ args: 1 }, { status: 'complete', ai_sdk: {} }), { args: 1, status: 'complete', ai_sdk: {} })
  t.strictSame(savedCall({ args: 1, ai_sdk: { title: 'a' } }, { status: 'complete', ai_sdk: { ended: true } }),
    { args: 1, ai_sdk: { ended: true }, call: { ai_sdk: { title: 'a' } }, status: 'complete' })
})

t.test('a step and a text without characters are blank, and a call never is', async t => {
  const about = { part_id: '1' }
  for (const part of [{ kind: 'step' }, { kind: 'text', text: '' }, { kind: 'reasoning', text: '' }]) t.ok(isBlank({ ...about, ...part } as any), part.kind)
  for (const part of [{ kind: 'text', text: 'a' }, { kind: 'tool', name: 'a', text: '' }, { kind: 'source', value: {} }]) t.notOk(isBlank({ ...about, ...part } as any), part.kind)
})

t.test('the text of a message is that of its texts, with an empty line between two', async t => {
  const parts = [
    { kind: 'reasoning', text: 'hm' }, { kind: 'text', text: 'One.' }, { kind: 'text', text: '' }, { kind: 'text', text: 'Two.' }
  ].map((part, at) => ({ ...part, part_id: `${at}` })) as any
  t.equal(textOf(parts), 'One.\n\nTwo.')
})

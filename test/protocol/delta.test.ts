import fc from 'fast-check'
import t from 'tap'
import { withDelta } from '../../lib/protocol/delta.js'

t.test('a delta continues the known text, or replaces its end', async t => {
  t.equal(withDelta('', 0, 'a'), 'a')
  t.equal(withDelta('ab', 2, 'c'), 'abc')
  t.equal(withDelta('abcd', 2, 'x'), 'abx')
  t.equal(withDelta('ab', 0, ''), '')
})

t.test('a delta after an unknown part of the text returns undefined', async t => {
  t.equal(withDelta('ab', 3, 'c'), undefined)
  t.equal(withDelta('', 1, 'c'), undefined)
})

t.test('deltas that are repeated from any of them onwards result in the same text', async () => {
  fc.assert(fc.property(fc.array(fc.string(), { minLength: 1 }), fc.nat(), (texts, again) => {
    let at = 0
    const deltas = texts.map(text => {
      const delta = { at, text }
      at += text.length
      return delta
    })
    const all = [...deltas, ...deltas.slice(again % deltas.length)]
    return all.reduce((known, { at, text }) => withDelta(known, at, text)!, '') === texts.join('')
  }))
})

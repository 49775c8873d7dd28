import fc from 'fast-check'
import t from 'tap'
import { GrowingText } from '../../../../lib/chat/log/text/growing-text.js'

t.test('the bytes of a text are those of its characters, pieces and marks, and an overhead of 400', async t => {
  const text = new GrowingText(0)
  const bytes = [text.bytes]
  for (let offset = 1; offset <= 5; offset++) bytes.push((text.append(offset, 'ab'), text.bytes))
  t.strictSame(bytes, [0, 1, 2, 3, 4, 5].map(pieces => 400 + pieces * (2 + 56) + (pieces === 0 ? 16 : pieces < 5 ? 16 + 64 : 22 + 64)))
})

t.test('a reader that has read up to any publication gets the rest of the text', async () => {
  const step = fc.record({ skip: fc.nat(3), text: fc.oneof(fc.string({ unit: 'binary' }), fc.constant('\ud83d'), fc.nat(9_000).map(n => 'x'.repeat(n))) })
  fc.assert(fc.property(fc.array(step, { maxLength: 40 }), fc.nat(5), fc.nat(3), (steps, zero, base) => {
    const text = new GrowingText(zero, base)
    const lengths = new Map([[zero, base]])
    let whole = '.'.repeat(base)
    let offset = zero
    for (const step of steps) {
      offset += 1 + step.skip
      whole += step.text
      text.append(offset, step.text)
      lengths.set(offset, whole.length)
    }
    let length = base
    for (let at = zero; at <= offset; at++) {
      length = lengths.get(at) ?? length
      if (text.lengthAt(at, zero) !== length || text.slice(length) !== whole.slice(length)) return false
      if (text.nextAfter(at) !== [...lengths.keys()].find(mark => mark > at)) return false
    }
    return text.length === whole.length && text.nextAfter(offset) === undefined
  }), { numRuns: 300 })
})

t.test('a reader that may have begun after a publication gets the text from the beginning until it has read a later one', async t => {
  const text = new GrowingText(0)
  for (const [offset, part] of [[1, 'a'], [3, 'bc'], [5, 'd']] as const) text.append(offset, part)
  t.strictSame([1, 3, 4, 5].map(offset => text.lengthAt(offset, 3)), [0, 0, 0, 4])
})

t.test('a text takes its characters, and at most 4 bytes per publication', async t => {
  const text = new GrowingText(0)
  for (let offset = 1; offset <= 100_000; offset++) text.append(offset, 'token ')
  t.ok(text.bytes <= 600_000 * 1.05 + 4 * 100_000)
  t.equal(text.slice(599_994), 'token ')
})

import fc from 'fast-check'
import t from 'tap'
import { Text } from '../../../../lib/chat/log/text/text.js'

t.test('a text takes its characters, and an overhead for each of up to 7 newest pieces and each block of 4,096 or more', async t => {
  const overhead = 56
  const bytesOf = (...parts: string[]) => {
    const text = new Text()
    for (const part of parts) text.append(part)
    return text.bytes
  }
  t.strictSame([bytesOf(), bytesOf('ab', 'ab'), bytesOf(...Array(7).fill('ab'))], [0, 4 + 2 * overhead, 14 + 7 * overhead])
  t.strictSame([bytesOf(...Array(8).fill('ab')), bytesOf(...Array(9).fill('ab'))], [16, 18 + overhead], 'the pieces became one string')
  t.equal(bytesOf('x'.repeat(4_095), 'a', 'a'), 4_096 + overhead + 1 + overhead)
  t.strictSame([bytesOf('ж'), bytesOf('ж', 'a'), bytesOf('a', 'ж')], [2 + overhead, 4 + 2 * overhead, 4 + 2 * overhead], 'wide characters')
  t.equal(bytesOf('ж'.repeat(4_096), 'a'), 8_192 + overhead + 1 + overhead, 'a wide block, and a narrow piece')
})

t.test('the appended text can be read from any character', async () => {
  const part = fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('\ud83d', '\ude00'), fc.nat(10_000).map(n => 'x'.repeat(n)))
  fc.assert(fc.property(fc.array(part), fc.double({ min: 0, max: 1, noNaN: true }), (parts, where) => {
    const text = new Text()
    for (const part of parts) text.append(part)
    const whole = parts.join('')
    const from = Math.floor(where * whole.length)
    return text.length === whole.length && text.slice(from) === whole.slice(from) && text.slice() === whole
  }))
})

import fc from 'fast-check'
import t from 'tap'
import { Text } from '../../../lib/chat/log/text.js'

t.test('what was appended can be read from anywhere', async () => {
  const part = fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('\ud83d', '\ude00'), fc.nat(10_000).map(n => 'x'.repeat(n)))
  fc.assert(fc.property(fc.array(part), fc.double({ min: 0, max: 1, noNaN: true }), (parts, where) => {
    const text = new Text()
    for (const part of parts) text.append(part)
    const whole = parts.join('')
    const from = Math.floor(where * whole.length)
    return text.length === whole.length && text.slice(from) === whole.slice(from) && text.slice() === whole
  }))
})

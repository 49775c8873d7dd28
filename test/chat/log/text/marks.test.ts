import fc from 'fast-check'
import t from 'tap'
import { Marks } from '../../../../lib/chat/log/text/marks.js'

const steps = fc.array(fc.record({
  ahead: fc.oneof(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 2 ** 31 - 1 })),
  more: fc.oneof(fc.nat(10), fc.nat(2 ** 31 - 1))
}), { maxLength: 200 })

t.test('the marks around any offset are found, however far they are apart', async () => {
  fc.assert(fc.property(steps, fc.nat(), fc.nat(10), (steps, zero, base) => {
    const marks = new Marks(zero, base)
    const all: Array<{ offset: number, length: number }> = []
    let offset = zero
    let length = base
    for (const { ahead, more } of steps) {
      offset += ahead
      length += more
      marks.append(offset, length)
      all.push({ offset, length })
    }
    return [zero, ...all.flatMap(({ offset }) => [offset - 1, offset, offset + 1])].every(at => {
      const before = marks.upTo(at)
      const known = all.findLast(({ offset }) => offset <= at)
      const isFound = before?.offset === known?.offset && before?.length === known?.length
      return isFound && marks.after(at) === all.find(({ offset }) => offset > at)?.offset
    })
  }), { numRuns: 200 })
})

t.test('a mark of a token takes at most 4 bytes', async t => {
  const marks = new Marks(1_000_000, 0)
  for (let count = 1; count <= 100_000; count++) marks.append(1_000_000 + count, count * 6)
  t.ok(marks.bytes < 400_000)
  t.strictSame(marks.upTo(1_050_000), { offset: 1_050_000, length: 300_000 })
})

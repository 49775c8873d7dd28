import fc from 'fast-check'
import t from 'tap'
import { comparePositions, formatPosition, parsePosition, parseSince, type Label, type Position } from '../../lib/protocol/position.js'

const label = fc.constantFrom<Label>('u', 'b', 'c')
const position: fc.Arbitrary<Position> = fc.record({
  epoch: fc.stringMatching(/^[a-z0-9]{1,32}$/),
  offset: fc.nat({ max: 999_999_999_999_999 })
}, { noNullPrototype: true })

t.test('a formatted position parses to the same position', async t => {
  t.equal(formatPosition('u', { epoch: 'k3f9', offset: 12 }), 'u.k3f9.12')
  fc.assert(fc.property(label, position, (label, position) => {
    t.strictSame({ ...parsePosition(formatPosition(label, position)) }, { label, position })
  }), { numRuns: 200 })
})

t.test('parsePosition returns undefined for other text', async t => {
  const texts = [
    '', 'u', 'u.', 'u.a', 'u.a.', 'u..1', '.a.1', 'x.a.1', 'U.a.1', 'ub.a.1', 'u.A.1', 'u.ä.1', 'u.a-b.1', 'u.a.-1', 'u.a.1.2', 'u.a.1e3', 'u.a.0x1', 'u.a.1 ',
    ' u.a.1', 'u.a.1\n', '\nu.a.1', 'u.a.١', `u.${'a'.repeat(33)}.1`, 'u.a.1000000000000000', 'u.a.1,b.a.1', '0'
  ]
  for (const text of texts) t.equal(parsePosition(text), undefined, JSON.stringify(text))
  t.strictSame({ ...parsePosition(`c.${'a'.repeat(32)}.999999999999999`) }, { label: 'c', position: { epoch: 'a'.repeat(32), offset: 999_999_999_999_999 } })
})

t.test('parseSince parses 0 and one position for each label, and nothing else', async t => {
  t.equal(parseSince('0'), 'all')
  t.strictSame(parseSince('u.k3f9.12'), new Map([['u', { epoch: 'k3f9', offset: 12 }]]))
  t.strictSame(parseSince('b.k3f9.7,u.k3f9.12'), new Map([['b', { epoch: 'k3f9', offset: 7 }], ['u', { epoch: 'k3f9', offset: 12 }]]))
  t.equal(parseSince('u.a.1,b.a.2,c.a.3')?.valueOf() instanceof Map, true)

  const wrong = ['', ',', 'u.a.1,', ',u.a.1', 'u.a.1,u.a.2', 'u.a.1,b.a.1,c.a.1,u.b.1', 'u.a.1,b.a.1,c.a.1,', 'u.a.1,0', '0,0', 'all', 'u.a.1;b.a.1', '1', 'null', '__proto__']
  for (const text of wrong) t.equal(parseSince(text), undefined, JSON.stringify(text))

  t.test('parseSince rejects a text of 1,000,000 positions', async t => {
    t.equal(parseSince('u.a.1,'.repeat(1_000_000)), undefined)
    t.equal(parseSince('x'.repeat(1_000_000)), undefined)
  })

  t.test('parseSince parses any text to its positions, or returns undefined', async t => {
    const epoch = fc.string({ unit: fc.constantFrom(...'az09'), maxLength: 4 })
    const offset = fc.string({ unit: fc.constantFrom(...'0123456789'), maxLength: 16 })
    const part = fc.tuple(fc.constantFrom('u', 'b', 'c', 'x'), epoch, offset).map(parts => parts.join('.'))
    const almost = fc.array(part, { minLength: 1, maxLength: 3 }).map(parts => parts.join(','))
    let read = 0
    t.doesNotThrow(() => fc.assert(fc.property(fc.oneof(fc.string(), almost), text => {
      const since = parseSince(text)
      if (since === undefined || since === 'all') return true
      read++
      // An offset may begin with zeros.
      const canonical = text.replace(/\.0+(?=\d+(?:,|$))/g, '.')
      return [...since].map(([label, position]) => formatPosition(label, position)).join(',') === canonical
    }), { numRuns: 2_000 }))
    t.ok(read > 100, `${read} of 2,000 are read`)
  })
})

t.test('positions of one epoch are comparable, and those of different epochs are not', async t => {
  const at = (epoch: string, offset: number) => ({ epoch, offset })
  t.ok(comparePositions(at('a', 1), at('a', 2)) < 0)
  t.ok(comparePositions(at('a', 10), at('a', 9)) > 0)
  t.equal(comparePositions(at('a', 3), at('a', 3)), 0)
  t.ok(Number.isNaN(comparePositions(at('a', 1), at('b', 1))))
})

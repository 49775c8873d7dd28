import fc from 'fast-check'
import t from 'tap'
import { comparePositions, formatPosition, parsePosition, parseSince, type Label, type Position } from '../../lib/protocol/position.js'

const label = fc.constantFrom<Label>('u', 'b', 'c')
const position: fc.Arbitrary<Position> = fc.record({
  epoch: fc.stringMatching(/^[a-z0-9]{1,32}$/),
  offset: fc.nat({ max: 999_999_999_999_999 })
}, { noNullPrototype: true })

t.test('a position is written and read back', async t => {
  t.equal(formatPosition('u', { epoch: 'k3f9', offset: 12 }), 'u.k3f9.12')
  fc.assert(fc.property(label, position, (label, position) => {
    t.strictSame({ ...parsePosition(formatPosition(label, position)) }, { label, position })
  }), { numRuns: 200 })
})

t.test('what is not a position', async t => {
  const texts = [
    '', 'u', 'u.', 'u.a', 'u.a.', 'u..1', '.a.1', 'x.a.1', 'U.a.1', 'ub.a.1', 'u.A.1', 'u.ä.1', 'u.a-b.1', 'u.a.-1', 'u.a.1.2', 'u.a.1e3', 'u.a.0x1', 'u.a.1 ',
    ' u.a.1', 'u.a.1\n', '\nu.a.1', 'u.a.١', `u.${'a'.repeat(33)}.1`, 'u.a.1000000000000000', 'u.a.1,b.a.1', '0'
  ]
  for (const text of texts) t.equal(parsePosition(text), undefined, JSON.stringify(text))
  t.strictSame({ ...parsePosition(`c.${'a'.repeat(32)}.999999999999999`) }, { label: 'c', position: { epoch: 'a'.repeat(32), offset: 999_999_999_999_999 } })
})

t.test('since', async t => {
  t.equal(parseSince('0'), 'all')
  t.strictSame(parseSince('u.k3f9.12'), new Map([['u', { epoch: 'k3f9', offset: 12 }]]))
  t.strictSame(parseSince('b.k3f9.7,u.k3f9.12'), new Map([['b', { epoch: 'k3f9', offset: 7 }], ['u', { epoch: 'k3f9', offset: 12 }]]))
  t.equal(parseSince('u.a.1,b.a.2,c.a.3')?.valueOf() instanceof Map, true)

  const wrong = ['', ',', 'u.a.1,', ',u.a.1', 'u.a.1,u.a.2', 'u.a.1,b.a.1,c.a.1,u.b.1', 'u.a.1,b.a.1,c.a.1,', 'u.a.1,0', '0,0', 'all', 'u.a.1;b.a.1', '1', 'null', '__proto__']
  for (const text of wrong) t.equal(parseSince(text), undefined, JSON.stringify(text))

  t.test('of any length is looked at no longer than it may be', async t => {
    t.equal(parseSince('u.a.1,'.repeat(1_000_000)), undefined)
    t.equal(parseSince('x'.repeat(1_000_000)), undefined)
  })

  t.test('any text is read or refused', async t => {
    fc.assert(fc.property(fc.string(), text => {
      const since = parseSince(text)
      if (since === undefined || since === 'all') return
      t.equal([...since].map(([label, position]) => formatPosition(label, position)).join(','), text)
    }))
  })
})

t.test('comparing', async t => {
  const at = (epoch: string, offset: number) => ({ epoch, offset })
  t.ok(comparePositions(at('a', 1), at('a', 2)) < 0)
  t.ok(comparePositions(at('a', 10), at('a', 9)) > 0)
  t.equal(comparePositions(at('a', 3), at('a', 3)), 0)
  t.ok(Number.isNaN(comparePositions(at('a', 1), at('b', 1))))
})

import fc from 'fast-check'
import t from 'tap'
import { StoredBytes } from '../../lib/brokers/stored.js'
import { clockStart } from '../clock.js'

t.test('each owner can store up to the limit', async t => {
  const stored = new StoredBytes(1_000)
  t.equal(stored.take('ada', 600, 100, 0), true)
  t.equal(stored.take('ada', 401, 100, 0), false)
  t.equal(stored.take('ada', 400, 100, 0), true)
  t.equal(stored.take('bob', 1_000, 100, 0), true)
  t.strictSame([stored.heldBy('ada', 0), stored.heldBy('eve', 0)], [1_000, 0])
})

t.test('stored bytes leak evenly: a full bucket is empty after the lifetime', async t => {
  const stored = new StoredBytes(1_000)
  stored.take('ada', 1_000, 100, 0)
  t.strictSame([25, 50, 100, 200].map(now => stored.heldBy('ada', now)), [750, 500, 0, 0])
  t.equal(stored.take('ada', 1_000, 100, 200), true)
})

t.test('bytes with a longer lifetime leak more slowly, and all bytes of an owner count', async t => {
  const stored = new StoredBytes(1_000)
  stored.add('ada', 500, 100, 0)
  stored.add('ada', 500, 1_000, 0)
  t.equal(stored.take('ada', 1, 100, 0), false)
  t.equal(stored.heldBy('ada', 50), 450)
  stored.add('ada', -200, 1_000, 50)
  t.equal(stored.heldBy('ada', 50), 250)
  t.equal(stored.heldBy('ada', 1_000), 0)
})

t.test('bytes with a lifetime of 0 are not counted', async t => {
  const stored = new StoredBytes(10)
  stored.add('ada', 1_000, 0, 0)
  t.strictSame([stored.heldBy('ada', 0), stored.size], [0, 0])
})

t.test('owners whose bytes have leaked are forgotten', async t => {
  const stored = new StoredBytes(1_000)
  for (let n = 0; n < 100_000; n++) stored.take(`user_${n}`, 10, 1_000, n)
  t.ok(stored.size < 3_000, `${stored.size} owners`)
})

t.test('from 1,000 owners on, a new owner removes the entries of owners without bytes, and no others', async t => {
  const stored = new StoredBytes(1_000)
  for (let n = 0; n < 999; n++) stored.add(`empty ${n}`, 10, 10, 0)
  stored.add('ada', 10, 100, 50)
  t.equal(stored.size, 1_000)
  stored.add('bob', 10, 100, 50)
  t.equal(stored.size, 2)
  t.strictSame(['ada', 'bob'].map(owner => stored.heldBy(owner, 50)), [10, 10])
})

t.test('owners without bytes are removed again only once the number of owners has doubled', async t => {
  const stored = new StoredBytes(1_000)
  for (let n = 0; n < 1_999; n++) stored.add(`user ${n}`, 1_000, 1_000, 0)
  stored.add('ada', 10, 1_000, 2_000)
  t.equal(stored.size, 2_000)
  stored.add('bob', 10, 1_000, 2_000)
  t.equal(stored.size, 2)
})

t.test('within any lifetime no owner stores more than twice the limit', async () => {
  const step = fc.record({ bytes: fc.integer({ min: 1, max: 400 }), after: fc.integer({ min: 0, max: 40 }) })
  fc.assert(fc.property(fc.array(step, { maxLength: 100 }), steps => {
    const stored = new StoredBytes(1_000)
    const taken: Array<{ at: number, bytes: number }> = []
    let now = clockStart
    for (const { bytes, after } of steps) {
      now += after
      if (stored.take('ada', bytes, 100, now)) taken.push({ at: now, bytes })
      const alive = taken.filter(({ at }) => now - at < 100).reduce((sum, { bytes }) => sum + bytes, 0)
      if (alive > 2_000) return false
    }
    return true
  }))
})

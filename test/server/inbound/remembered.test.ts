import fc from 'fast-check'
import t from 'tap'
import { Remembered } from '../../../lib/server/inbound/remembered.js'

t.test('a value is remembered for the time given, counted from when it was set last', async t => {
  const remembered = new Remembered<number>({ time: 100, size: 10 })
  remembered.set('ada', 'k', 1, 0)
  t.strictSame([remembered.get('ada', 'k', 99), remembered.get('ada', 'k', 100), remembered.size], [1, undefined, 0])
  remembered.set('ada', 'k', 2, 100)
  remembered.set('ada', 'k', 3, 160)
  t.strictSame([remembered.get('ada', 'k', 220), remembered.size], [3, 1])
})

t.test('a value belongs to its holder and its key, and is gone once it is deleted', async t => {
  const remembered = new Remembered<number>({ time: 100, size: 10 })
  remembered.set('ada', 'k', 1, 0)
  remembered.set('bob', 'k', 2, 0)
  t.strictSame([remembered.get('ada', 'k', 1), remembered.get('bob', 'k', 1), remembered.get('ada', 'K', 1)], [1, 2, undefined])
  t.strictSame([remembered.delete('ada', 'k'), remembered.delete('ada', 'k'), remembered.get('bob', 'k', 1)], [1, undefined, 2])
})

t.test('a holder that fills it pushes out its own values, the oldest first, and never those of another', async t => {
  const remembered = new Remembered<number>({ time: 100, size: 1_000 })
  for (let n = 0; n < 20; n++) remembered.set(`user ${n}`, 'k', n, 0)
  for (let n = 0; n < 50_000; n++) remembered.set('mallory', `k${n}`, n, 0)
  for (let n = 0; n < 20; n++) t.equal(remembered.get(`user ${n}`, 'k', 1), n)
  const kept = Array.from({ length: 50_000 }, (_, n) => remembered.get('mallory', `k${n}`, 1) !== undefined)
  t.equal(kept.filter(Boolean).length, 490)
  t.equal(kept.indexOf(true), 50_000 - 490)
  remembered.set('late', 'k', 1, 0)
  t.equal(remembered.get('late', 'k', 1), 1)
})

t.test('a value that may not go stays, whoever needs room', async t => {
  const remembered = new Remembered<boolean>({ time: 100, size: 4 }, mayGo => mayGo)
  remembered.set('ada', 'stays', false, 0)
  for (let n = 0; n < 100; n++) remembered.set(`user ${n % 3}`, `k${n}`, true, 0)
  for (let n = 0; n < 100; n++) remembered.set('ada', `k${n}`, true, 0)
  t.equal(remembered.get('ada', 'stays', 1), false)
  t.ok(remembered.size <= 5)
})

t.test('as long as there is room it answers like a list that is looked through', async () => {
  const step = fc.record({
    holder: fc.constantFrom('a', 'b', 'c'), key: fc.integer({ min: 0, max: 40 }), wait: fc.constantFrom(0, 0, 1, 30), action: fc.constantFrom('set', 'set', 'get', 'delete')
  })
  fc.assert(fc.property(fc.array(step, { maxLength: 3_000, minLength: 500 }), steps => {
    const remembered = new Remembered<number>({ time: 1_000, size: 1_000 })
    let list: Array<{ holder: string, key: string, value: number, at: number }> = []
    let now = 0
    for (const [value, { holder, key: number, wait, action }] of steps.entries()) {
      const key = `k${number}`
      now += wait
      list = list.filter(({ at }) => now - at < 1_000)
      const isIt = (entry: typeof list[0]) => entry.holder === holder && entry.key === key
      if (action === 'get' && remembered.get(holder, key, now) !== list.find(isIt)?.value) return false
      if (action === 'delete') remembered.delete(holder, key)
      if (action !== 'get') list = list.filter(entry => !isIt(entry))
      if (action === 'set') remembered.set(holder, key, value, now)
      if (action === 'set') list.push({ holder, key, value, at: now })
    }
    remembered.get('a', '', now)
    return remembered.size === list.length
  }), { numRuns: 40 })
})

t.test('a holder with less than the one who needs room loses nothing', async t => {
  const remembered = new Remembered<number>({ time: 60_000, size: 2_000 })
  for (let n = 0; n < 1_000; n++) remembered.set('heavy', `k${n}`, n, 0)
  for (let n = 0; n < 800; n++) remembered.set(`light${n}`, 'k', n, 0)
  for (let n = 0; n < 100; n++) remembered.set('heavy', `more${n}`, n, 0)
  const left = Array.from({ length: 800 }, (_, n) => remembered.get(`light${n}`, 'k', 0)).filter(value => value !== undefined)
  t.equal(left.length, 800)
  t.equal(remembered.get('heavy', 'more99', 0), 99)
  t.equal(remembered.get('heavy', 'k0', 0), undefined, 'the oldest of its own went')

  const steps = fc.array(fc.record({ holder: fc.constantFrom('a', 'b', 'c', 'd'), key: fc.nat(30) }), { maxLength: 200 })
  fc.assert(fc.property(steps, list => {
    const some = new Remembered<number>({ time: 60_000, size: 20 })
    const keys = Array.from({ length: 31 }, (_, key) => String(key))
    const held = (holder: string) => keys.filter(key => some.get(holder, key, 0) !== undefined).length
    for (const { holder, key } of list) {
      const before = Object.fromEntries(['a', 'b', 'c', 'd'].map(each => [each, held(each)]))
      some.set(holder, String(key), 1, 0)
      for (const each of ['a', 'b', 'c', 'd']) if (before[each] < before[holder] && held(each) < before[each]) return false
    }
    return some.size <= 20
  }))
})

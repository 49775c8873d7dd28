import fc from 'fast-check'
import t from 'tap'
import { Remembered } from '../../../lib/server/inbound/remembered.js'
import { clockStart } from '../../clock.js'
import { heapLeftBy } from '../../leaks.js'

t.test('a value is remembered for the given time from its last set() on', async t => {
  const remembered = new Remembered<number>({ time: 100, size: 10 })
  remembered.set('ada', 'k', 1, 0)
  t.strictSame([remembered.get('ada', 'k', 99), remembered.get('ada', 'k', 100), remembered.size], [1, undefined, 0])
  remembered.set('ada', 'k', 2, 100)
  remembered.set('ada', 'k', 3, 160)
  t.strictSame([remembered.get('ada', 'k', 220), remembered.size], [3, 1])
})

t.test('a value belongs to its holder and its key, and delete() forgets it', async t => {
  const remembered = new Remembered<number>({ time: 100, size: 10 })
  remembered.set('ada', 'k', 1, 0)
  remembered.set('bob', 'k', 2, 0)
  t.strictSame([remembered.get('ada', 'k', 1), remembered.get('bob', 'k', 1), remembered.get('ada', 'K', 1)], [1, 2, undefined])
  t.strictSame([remembered.delete('ada', 'k'), remembered.delete('ada', 'k'), remembered.get('bob', 'k', 1)], [1, undefined, 2])
})

t.test('a holder with too many values loses its own oldest ones, and no value of another holder', async t => {
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

t.test('a value that may not be removed stays, also if holders need room', async t => {
  const remembered = new Remembered<boolean>({ time: 100, size: 4 }, mayGo => mayGo)
  remembered.set('ada', 'stays', false, 0)
  for (let n = 0; n < 100; n++) remembered.set(`user ${n % 3}`, `k${n}`, true, 0)
  for (let n = 0; n < 100; n++) remembered.set('ada', `k${n}`, true, 0)
  t.equal(remembered.get('ada', 'stays', 1), false)
  t.ok(remembered.size <= 5)
})

t.test('take() returns a value once, within its time', async t => {
  const remembered = new Remembered<number>({ time: 100, size: 10 })
  remembered.set('ada', 'k', 1, 0)
  t.strictSame([remembered.take('ada', 'k', 99), remembered.take('ada', 'k', 99), remembered.size], [1, undefined, 0])
  remembered.set('ada', 'k', 1, 100)
  t.equal(remembered.take('ada', 'k', 200), undefined)
})

/** Values that begin with 'stays' may not be removed. */
function filled (values: Array<[holder: string, value: string]>, size = 4): Remembered<string> {
  const remembered = new Remembered<string>({ time: 100, size }, value => !String(value).startsWith('stays'))
  for (const [holder, value] of values) remembered.set(holder, value, value, 0)
  return remembered
}

t.test('the holder with the most values loses its oldest one to a holder without values', async t => {
  const remembered = filled([['a', 'a1'], ['a', 'a2'], ['b', 'b1'], ['c', 'c1'], ['d', 'd1']])
  t.strictSame(['a1', 'a2', 'b1', 'c1', 'd1'].map(key => remembered.get(key[0], key, 1)), [undefined, 'a2', 'b1', 'c1', 'd1'])
  t.equal(remembered.size, 4)
})

t.test('the next largest holder loses a value if the values of the largest one may not be removed', async t => {
  const remembered = filled([['a', 'stays 1'], ['a', 'stays 2'], ['b', 'b1'], ['c', 'c1'], ['d', 'd1']])
  t.strictSame([remembered.get('b', 'b1', 1), remembered.get('c', 'c1', 1), remembered.get('d', 'd1', 1)], [undefined, 'c1', 'd1'])
})

t.test('a holder whose values may not be removed takes room from a holder with as many values, and from none with fewer', async t => {
  const less = filled([['a', 'stays 1'], ['a', 'stays 2'], ['b', 'b1'], ['a', 'stays 3']])
  t.strictSame([less.get('b', 'b1', 1), less.size], ['b1', 4])
  const equal = filled([['a', 'stays 1'], ['a', 'stays 2'], ['b', 'b1'], ['b', 'b2'], ['a', 'stays 3']], 5)
  t.strictSame([equal.get('b', 'b1', 1), equal.get('b', 'b2', 1), equal.get('a', 'stays 3', 1)], [undefined, 'b2', 'stays 3'])
})

t.test('a value is remembered beyond the size if no other value may be removed', async t => {
  const remembered = filled([['a', 'stays 1'], ['b', 'stays 2'], ['c', 'stays 3']], 2)
  t.equal(remembered.size, 3)
  t.equal(remembered.get('c', 'stays 3', 1), 'stays 3')
})

t.test('a value expires in time, also after many other values were removed', async t => {
  const remembered = new Remembered<number>({ time: 100, size: 10 })
  remembered.set('ada', 'k', 1, 0)
  for (let n = 0; n < 3_000; n++) {
    remembered.set('bob', 'k', n, 50)
    remembered.delete('bob', 'k')
  }
  t.equal(remembered.get('ada', 'k', 99), 1)
  t.strictSame([remembered.get('ada', 'k', 100), remembered.size], [undefined, 0])
})

t.test('Remembered returns the same values as a plain list while it has room', async () => {
  const step = fc.record({
    holder: fc.constantFrom('a', 'b', 'c'), key: fc.integer({ min: 0, max: 40 }), wait: fc.constantFrom(0, 0, 1, 30), action: fc.constantFrom('set', 'set', 'get', 'delete')
  })
  fc.assert(fc.property(fc.array(step, { maxLength: 3_000, minLength: 500 }), steps => {
    const remembered = new Remembered<number>({ time: 1_000, size: 1_000 })
    let list: Array<{ holder: string, key: string, value: number, at: number }> = []
    let now = clockStart
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

t.test('a holder with fewer values than the holder that needs room loses none', async t => {
  const remembered = new Remembered<number>({ time: 60_000, size: 2_000 })
  for (let n = 0; n < 1_000; n++) remembered.set('heavy', `k${n}`, n, 0)
  for (let n = 0; n < 800; n++) remembered.set(`light${n}`, 'k', n, 0)
  for (let n = 0; n < 100; n++) remembered.set('heavy', `more${n}`, n, 0)
  const left = Array.from({ length: 800 }, (_, n) => remembered.get(`light${n}`, 'k', 0)).filter(value => value !== undefined)
  t.equal(left.length, 800)
  t.equal(remembered.get('heavy', 'more99', 0), 99)
  t.equal(remembered.get('heavy', 'k0', 0), undefined, 'the oldest value of the holder is removed')

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

t.test('each value that is removed is reported with its holder, whatever the reason', async t => {
  const gone: string[] = []
  const remembered = new Remembered<string>({ time: 100, size: 2 }, () => true, (value, holder) => { gone.push(`${holder} ${value}`) })
  const taken = () => gone.splice(0)
  remembered.set('ada', 'k', 'first', 0)
  remembered.set('ada', 'k', 'second', 0)
  t.strictSame(taken(), ['ada first'], 'replaced')
  remembered.delete('ada', 'k')
  t.strictSame(taken(), ['ada second'], 'deleted')
  remembered.set('bob', 'k', 'third', 0)
  remembered.set('bob', 'l', 'fourth', 0)
  t.strictSame(taken(), ['bob third'], 'no room')
  remembered.take('bob', 'l', 0)
  t.strictSame(taken(), ['bob fourth'], 'taken')
  remembered.set('ada', 'k', 'fifth', 0)
  remembered.get('ada', 'k', 100)
  remembered.get('ada', 'k', 200)
  t.strictSame(taken(), ['ada fifth'], 'expired, and reported once')
})

t.test('nothing is left of 20,000 holders whose values were taken or have expired', async t => {
  const nameOf = (n: number) => `${n} ${'x'.repeat(500)}`
  const remembered = new Remembered<number>({ time: 1_000, size: 20_000 })
  const left = await heapLeftBy(() => {
    for (let n = 0; n < 20_000; n++) {
      remembered.set(nameOf(n), 'key', n, clockStart)
      if (n % 2 === 0) remembered.take(nameOf(n), 'key', clockStart)
    }
    remembered.get('', '', clockStart + 1_000)
  })
  t.equal(remembered.size, 0)
  t.ok(left < 2_000_000, `${left} bytes`)
})

t.test('values that are taken take no room while an older one is remembered', async t => {
  const remembered = new Remembered<number>({ time: 1_000, size: 20_000 })
  remembered.set('ada', 'key', 0, clockStart)
  const left = await heapLeftBy(() => {
    for (let n = 0; n < 20_000; n++) {
      const holder = `${n} ${'x'.repeat(500)}`
      remembered.set(holder, 'key', n, clockStart)
      remembered.take(holder, 'key', clockStart)
    }
  })
  t.equal(remembered.size, 1)
  t.ok(left < 2_000_000, `${left} bytes`)
})

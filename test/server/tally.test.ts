import t from 'tap'
import { Tally } from '../../lib/server/tally.js'

t.test('a tally counts by key, and keeps no key whose count is 0', async t => {
  const tally = new Tally<string>()
  for (const key of ['a', 'b', 'a']) tally.add(key)
  t.strictSame([tally.of('a'), tally.of('b'), tally.of('c'), tally.size], [2, 1, 0, 2])
  tally.take('a')
  t.strictSame([tally.of('a'), tally.size], [1, 2])
  tally.take('a')
  t.strictSame([tally.of('a'), tally.size], [0, 1])
  for (const key of ['a', 'c']) tally.take(key)
  t.strictSame([tally.of('a'), tally.size], [0, 1], 'a count is never below 0')
  tally.add('b')
  t.strictSame([tally.remove('b'), tally.remove('b'), tally.size], [2, 0, 0])
})

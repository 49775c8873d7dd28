import t from 'tap'
import { Recent } from '../../lib/chat/recent.js'

function setup (size = 3) {
  const clock = { now: 0 }
  return { clock, recent: new Recent({ time: 100, size }, () => clock.now) }
}

t.test('keys are known for some time', async t => {
  const { clock, recent } = setup()
  recent.add('a')
  t.strictSame([recent.has('a'), recent.has('b')], [true, false])
  clock.now = 99
  t.equal(recent.has('a'), true)
  clock.now = 100
  t.equal(recent.has('a'), false)
  t.equal(recent.take('a'), false)
})

t.test('what comes again is new again', async t => {
  const { clock, recent } = setup()
  recent.add('a')
  clock.now = 60
  recent.add('a')
  clock.now = 120
  t.equal(recent.has('a'), true)
})

t.test('the oldest gives way', async t => {
  const { recent } = setup()
  for (const key of ['a', 'b', 'a', 'c', 'd']) recent.add(key)
  t.strictSame(['a', 'b', 'c', 'd'].map(key => recent.has(key)), [true, false, true, true])
  for (let n = 0; n < 100; n++) recent.add(`n${n}`)
  t.strictSame(['d', 'n96', 'n97', 'n98', 'n99'].map(key => recent.has(key)), [false, false, true, true, true])
})

t.test('what is taken is gone', async t => {
  const { recent } = setup()
  recent.add('a')
  t.strictSame([recent.take('a'), recent.take('a'), recent.has('a')], [true, false, false])
})

t.test('its clock is a real one by default', async t => {
  const recent = new Recent({ time: 1_000_000, size: 1 })
  recent.add('a')
  t.equal(recent.has('a'), true)
})

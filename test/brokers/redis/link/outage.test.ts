import t from 'tap'
import { Outage } from '../../../../lib/brokers/redis/link/outage.js'

t.test('each cause is news once, and the end says how long the outage lasted', async t => {
  const outage = new Outage()
  outage.begin(1_000)
  t.strictSame([outage.isNews('A', 1_000), outage.isNews('A', 1_500), outage.isNews('B', 2_000), outage.isNews('A', 3_000)], [true, false, true, false])
  outage.begin(3_000)
  t.equal(outage.end(4_000), 3_000, 'the outage began at 1,000')
  t.equal(outage.end(5_000), undefined, 'the outage has already ended')
})

t.test('a cause that recurs a minute later in the same outage is news again', async t => {
  const outage = new Outage()
  outage.begin(0)
  outage.isNews('A', 0)
  outage.isNews('B', 30_000)
  t.equal(outage.isNews('A', 59_999), false)
  t.equal(outage.isNews('A', 60_000), true)
})

t.test('an outage within a second of the one before continues it: neither its cause nor its end is news', async t => {
  const outage = new Outage()
  outage.begin(0)
  outage.isNews('A', 0)
  t.equal(outage.end(100), 100)
  outage.begin(1_100)
  t.equal(outage.isNews('A', 1_100), false)
  t.equal(outage.end(1_200), undefined)
  outage.begin(2_201)
  t.equal(outage.isNews('A', 2_201), true, 'a second later it is another outage')
  t.equal(outage.end(2_301), 100)
})

import t from 'tap'
import { fullJitter } from '../../lib/client/backoff.js'
import { every } from '../harness.js'

t.test('a delay is anywhere below a bound that doubles from 0.5 to 20 s', async t => {
  for (const [attempt, bound] of [[0, 500], [1, 1_000], [5, 16_000], [6, 20_000], [50, 20_000], [5_000, 20_000]]) {
    const delays = Array.from({ length: 2_000 }, () => fullJitter(attempt))
    t.ok(every(delays, delay => delay >= 0 && delay < bound), `attempt ${attempt}`)
    t.ok(Math.max(...delays) > bound * 0.9 && Math.min(...delays) < bound * 0.1, 'and all of it')
  }
})

t.test('10,000 clients that lost their server for 30 s: at most 2 % of them come back in any 100 ms', async t => {
  const outage = 30_000
  const arrivals = new Array(300).fill(0)
  for (let client = 0; client < 10_000; client++) {
    let at = 0
    for (let attempt = 0; at < outage; attempt++) at += fullJitter(attempt)
    arrivals[Math.floor((at - outage) / 100)]++
  }
  t.equal(arrivals.reduce((sum, count) => sum + count), 10_000)
  t.ok(Math.max(...arrivals) <= 200, `${Math.max(...arrivals)} at once`)
})

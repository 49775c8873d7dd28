import t from 'tap'
import { fullJitter } from '../../lib/client/backoff.js'
import { every } from '../every.js'

t.test('a delay is random below a bound that doubles from 0.5 to 8 s, and then random between 4.5 and 9 s', async t => {
  const rows = [[0, 0, 500], [1, 0, 1_000], [4, 0, 8_000], [5, 4_500, 9_000], [50, 4_500, 9_000], [5_000, 4_500, 9_000]]
  for (const [attempt, least, most] of rows) {
    const delays = Array.from({ length: 2_000 }, () => fullJitter(attempt))
    t.ok(every(delays, delay => delay >= least && delay < most), `attempt ${attempt}`)
    const margin = (most - least) * 0.1
    t.ok(Math.max(...delays) > most - margin && Math.min(...delays) < least + margin, 'the whole range')
  }
})

t.test('of 10,000 clients that lost their server for 30 s, at most 2 % reconnect in any 100 ms, and all within 9 s', async t => {
  const outage = 30_000
  const arrivals = new Array(90).fill(0)
  for (let client = 0; client < 10_000; client++) {
    let at = 0
    for (let attempt = 0; at < outage; attempt++) at += fullJitter(attempt)
    arrivals[Math.floor((at - outage) / 100)]++
  }
  t.equal(arrivals.reduce((sum, count) => sum + count), 10_000)
  t.ok(Math.max(...arrivals) <= 200, `${Math.max(...arrivals)} at once`)
})

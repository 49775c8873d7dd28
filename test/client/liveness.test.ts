import { mock } from 'node:test'
import t from 'tap'
import { liveness } from '../../lib/client/liveness.js'

function watching (t: { teardown (action: () => void): void }) {
  let now = 1_000
  mock.timers.enable({ apis: ['setTimeout'] })
  mock.method(performance, 'now', () => now)
  t.teardown(() => {
    mock.timers.reset()
    mock.restoreAll()
  })
  const seen: string[] = []
  const live = liveness(() => seen.push('ping'), () => seen.push('dead'))
  live.heard()
  live.start(10_000)
  const pass = (ms: number) => {
    for (let left = ms; left > 0; left -= 100) {
      now += 100
      mock.timers.tick(100)
    }
  }
  return { live, seen, pass }
}

t.test('after 1.5 heartbeats of silence a ping is sent, and without an answer the connection is dead', async t => {
  const { live, seen, pass } = watching(t)
  pass(10_000)
  live.heard()
  pass(14_900)
  t.strictSame(seen, [])
  pass(100)
  t.strictSame(seen, ['ping'])
  pass(3_900)
  live.heard()
  pass(14_000)
  t.strictSame(seen, ['ping'])
  pass(5_000)
  t.strictSame(seen, ['ping', 'ping', 'dead'])
})

t.test('a probe with less patience shortens the one in progress, and another one does not prolong it', async t => {
  const { live, seen, pass } = watching(t)
  pass(15_000)
  t.strictSame(seen, ['ping'])
  live.probe(500)
  pass(300)
  live.probe(500)
  pass(200)
  t.strictSame(seen, ['ping', 'dead'])
})

t.test('after stop no ping is sent and no death is reported', async t => {
  const { live, seen, pass } = watching(t)
  live.probe(500)
  live.stop()
  pass(60_000)
  t.strictSame(seen, ['ping'])
})

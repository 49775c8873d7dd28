import { Type } from '@sinclair/typebox'
import t from 'tap'
import { MemoryBroker } from '../../lib/index.js'
import { resolveOptions, type RealtimeOptions } from '../../lib/server/options.js'

const authenticate = () => ({ userId: 'u' })

t.test('defaults', async t => {
  const options = resolveOptions({})
  t.match(options, {
    prefix: '/ws',
    insecure: false,
    strict: false,
    messages: {},
    onMessage: {},
    history: { size: 100, ttl: 300_000, bytes: 64 * 1024 * 1024 },
    heartbeat: { interval: 25_000, timeout: 10_000 },
    limits: { frame: 65_536, fragments: 1_024, chunks: 4_096, message: 1_048_576, rate: 20, burst: 40, queue: 16, connectionsPerUser: 10 },
    timeouts: { authenticate: 5_000, stall: 10_000, drain: 10_000, spread: 5_000 }
  })
  t.ok(options.broker instanceof MemoryBroker)
})

t.test('what was given is kept, and not changed', async t => {
  const broker = new MemoryBroker({ size: 1, ttl: 1, lag: 1, bytes: 1 })
  const given = Object.freeze({ authenticate, broker, limits: Object.freeze({ rate: 7 }), logLevel: 'info' }) as RealtimeOptions
  const options = resolveOptions(given)
  t.equal(options.broker, broker)
  t.equal(options.authenticate, authenticate)
  t.equal(options.limits.rate, 7)
  t.equal(options.limits.burst, 40)
  t.strictSame(given.limits, { rate: 7 })
})

t.test('what cannot be meant is refused, with the cure', async t => {
  const wrong: Array<[object, RegExp]> = [
    [{ limit: {} }, /no option 'limit'/],
    [{ limits: { rates: 1 } }, /no option 'limits.rates'/], [{ limits: { rate: 'a' } }, /'limits.rate'/],
    [{ limits: { rate: 0 } }, /'limits.rate'/], [{ limits: null }, /'limits'/], [{ prefix: 'ws' }, /'prefix'/],
    [{ authenticate: 'no' }, /'authenticate'/],
    [{ onMessage: { x: 1 } }, /'onMessage.x'.*got 1/], [{ strict: authenticate }, /got a function/],
    [{ insecure: true, authenticate }, /Remove one/],

    [{ authorize: () => true }, /Pass 'authenticate'/], [{ allowedOrigins: ['https://a.example/'] }, /not an origin/],
    [{ allowedOrigins: ['a.example'] }, /not an origin/], [{ heartbeat: { interval: 10, timeout: 10 } }, /shorter/],
    [{ limits: { rate: 50 } }, /'limits.burst'/], [{ history: { bytes: 10 } }, /'limits.message'/],
    [{ onMessage: { ping: authenticate } }, /'ping'/],
    [{ broker: {} }, /must be a broker/], [{ messages: { x: Type.String() }, history: 3 }, /'history'/]
  ]
  for (const [options, message] of wrong) {
    t.throws(() => resolveOptions(options as RealtimeOptions), { code: 'RT_ERR_OPTIONS', message }, JSON.stringify(options))
  }
})

t.test('production needs an authenticate', async t => {
  t.throws(() => resolveOptions({}, 'production'), { code: 'RT_ERR_AUTHENTICATE_REQUIRED', message: /'authenticate'/ })
  t.ok(resolveOptions({ authenticate }, 'production'))
  t.ok(resolveOptions({ insecure: true }, 'production'))
})

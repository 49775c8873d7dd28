import { mock } from 'node:test'
import t from 'tap'
import type { FastifyBaseLogger } from 'fastify'
import { refusalReasons, type RefusalReason } from '../../../lib/server/reports/refusal-reasons.js'
import { Refusals } from '../../../lib/server/reports/refusals.js'
import { Timers } from '../../../lib/time/timers.js'
import { as, authenticateByHeader, outcome, start } from '../../harness.js'
import { logSink } from '../../log-sink.js'
import { eventually } from '../../waiting.js'

const { timers: clock } = mock

/** Refusals on the mocked clock, and the lines that they log. */
function setup (t: { teardown (action: () => void): void }) {
  clock.enable({ apis: ['setTimeout'] })
  const lines: Array<Record<string, unknown>> = []
  const at = (level: string) => (fields: object, msg: string) => { lines.push({ level, ...fields, msg }) }
  const log = { info: at('info'), error: at('error') } as unknown as FastifyBaseLogger
  const refusals = new Refusals(log, new Timers())
  t.teardown(() => {
    refusals.close()
    clock.reset()
  })
  return { lines, refusals }
}

t.test('the first refusal of a reason is logged at once, with its code, user id and address', async t => {
  const { lines, refusals } = setup(t)
  refusals.add('other_user', { userId: 'ada', remoteAddress: '192.0.2.1' }, 'The user of the path is bob')
  t.match(lines, [{ level: 'info', code: 4403, reason: 'other_user', userId: 'ada', remoteAddress: '192.0.2.1', msg: /refused a client with 4403: .*\. The user of the path is bob$/ }])
  t.equal(lines[0].count, undefined)
})

t.test('later refusals of a reason become one line per 10 s, with their number and the last client', async t => {
  const { lines, refusals } = setup(t)
  for (let n = 0; n < 5; n++) refusals.add('unauthenticated', { userId: `u${n}` })
  refusals.add('stalled', { userId: 'slow', connectionId: 'c1' })
  t.equal(lines.length, 2, 'each reason has a first line of its own')
  clock.tick(9_999)
  t.equal(lines.length, 2)
  clock.tick(1)
  t.equal(lines.length, 3, 'a reason without a further refusal has no further line')
  t.match(lines[2], { level: 'info', code: 4401, reason: 'unauthenticated', count: 4, userId: 'u4', msg: /refused 4 more clients with 4401 within 10 s/ })
  refusals.add('unauthenticated', { userId: 'u5' })
  t.equal(lines.length, 3, 'a refusal less than 10 s after a line is not logged at once')
  clock.tick(10_000)
  t.match(lines[3], { count: 1, userId: 'u5', msg: /refused 1 more client with/ })
  clock.tick(10_000)
  t.equal(lines.length, 4)
  refusals.add('unauthenticated', { userId: 'u6' })
  t.match(lines[4], { userId: 'u6', msg: /refused a client with 4401/ }, 'the first refusal after 10 s without refusals is logged at once')
})

t.test('a million refusals of all reasons in 30 s are at most four lines per reason', async t => {
  const { lines, refusals } = setup(t)
  const reasons = Object.keys(refusalReasons) as RefusalReason[]
  for (let second = 0; second < 30; second++) {
    for (let n = 0; n < 33_334; n++) refusals.add(reasons[n % reasons.length], { userId: `u${n}`, remoteAddress: '192.0.2.1' }, `n ${n}`)
    clock.tick(1_000)
  }
  t.ok(lines.length <= 4 * reasons.length, `${lines.length} lines`)
  const counted = lines.reduce((sum, { count }) => sum + Number(count ?? 1), 0)
  t.equal(counted, 30 * 33_334, 'every refusal is counted')
})

t.test('an error of the app is logged at error, and is created only for the lines that are written', async t => {
  const { lines, refusals } = setup(t)
  let made = 0
  for (let n = 0; n < 100; n++) refusals.add('authenticate_failed', {}, undefined, () => { made++; return new Error(`failure ${n}`) })
  clock.tick(10_000)
  t.match(lines, [{ level: 'error', err: { message: 'failure 0' } }, { level: 'error', count: 99, err: { message: 'failure 99' } }])
  t.equal(made, 2)
})

t.test('close() logs the pending counts once, and stops the timers', async t => {
  const { lines, refusals } = setup(t)
  for (let n = 0; n < 3; n++) refusals.add('rate', { userId: 'u' })
  refusals.add('stalled', { userId: 'u' })
  refusals.close()
  t.match(lines.slice(2), [{ reason: 'rate', count: 2 }])
  refusals.close()
  clock.tick(100_000)
  t.equal(lines.length, 3)
})

t.test('a logger that throws or rejects does not make Refusals throw', async t => {
  clock.enable({ apis: ['setTimeout'] })
  t.teardown(() => clock.reset())
  for (const info of [() => { throw new Error('of the logger') }, async () => { throw new Error('of the logger') }]) {
    const refusals = new Refusals({ info } as unknown as FastifyBaseLogger, new Timers())
    t.doesNotThrow(() => refusals.add('rate', {}))
    refusals.add('rate', {})
    t.doesNotThrow(() => clock.tick(10_000))
    t.doesNotThrow(() => refusals.close())
  }
})

t.test('a flood of refused clients gives two lines per reason, the second one when the app closes', async t => {
  const { lines, options } = logSink()
  const { app, url } = await start(t, { authenticate: authenticateByHeader }, { logger: { ...options, level: 'info' } })
  for (let n = 0; n < 20; n++) t.equal(await outcome(`${url}/ws/notifications/u1`, n % 2 === 0 ? as('mallory') : {}), n % 2 === 0 ? 4403 : 4401)
  await app.close()
  const refused = lines.map(line => JSON.parse(line)).filter(({ reason }) => reason !== undefined)
  t.match(refused.map(({ code, count }) => [code, count]), [[4403], [4401], [4403, 9], [4401, 9]])
  t.match(refused[0], { level: 30, userId: 'mallory', remoteAddress: '127.0.0.1' })
  await eventually(() => app.ws.stats().connections === 0)
})

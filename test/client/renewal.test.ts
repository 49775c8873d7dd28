import { mock } from 'node:test'
import t from 'tap'
import { renewal } from '../../lib/client/renewal.js'
import { loopTurns } from '../waiting.js'

function renewing (t: { teardown (action: () => void): void }, getToken?: () => Promise<string | undefined>) {
  mock.timers.enable({ apis: ['setTimeout'] })
  const sent: string[] = []
  const reported: unknown[] = []
  const options: { getToken?: () => Promise<string | undefined> } = { getToken }
  const before = renewal(options, token => sent.push(token), error => reported.push(error))
  t.teardown(() => {
    before()
    mock.timers.reset()
  })
  return { options, sent, reported, before }
}

t.test('a new credential is sent after 80 % of the lifetime of the current one', async t => {
  const { before, sent } = renewing(t, async () => 'next')
  before(1_000)
  mock.timers.tick(799)
  await loopTurns()
  t.strictSame(sent, [])
  mock.timers.tick(1)
  await loopTurns()
  t.strictSame(sent, ['next'])
})

t.test('a credential of 60 days is not renewed at once', async t => {
  const { before, sent } = renewing(t, async () => 'next')
  before(60 * 86_400_000)
  mock.timers.tick(86_400_000)
  await loopTurns()
  t.strictSame(sent, [])
})

t.test('a credential that arrives after the end is not sent, and a failure is reported', async t => {
  const { before, sent, reported, options } = renewing(t, async () => 'late')
  before(1_000)
  mock.timers.tick(800)
  before()
  await loopTurns()
  t.strictSame(sent, [])
  options.getToken = async () => { throw new Error('of the app') }
  before(1_000)
  mock.timers.tick(800)
  await loopTurns()
  t.match(reported, [{ message: 'of the app' }])
  options.getToken = undefined
  before(1_000)
  mock.timers.tick(800)
  await loopTurns()
  t.strictSame(sent, [])
  t.equal(reported.length, 1, 'without a getToken nothing fails')
})

t.test('a credential that expires at once is renewed at once, and one that never expires is not renewed', async t => {
  const reasons: unknown[] = []
  const { before, options, sent } = renewing(t)
  options.getToken = async (reason?: unknown) => `token ${reasons.push(reason)}`
  before()
  mock.timers.tick(1_000_000)
  await loopTurns()
  t.strictSame(reasons, [])
  before(0)
  mock.timers.tick(1)
  await loopTurns()
  t.strictSame([reasons, sent], [[{ isRefused: false }], ['token 1']])
})

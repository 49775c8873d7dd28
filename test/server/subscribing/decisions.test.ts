import t, { type Test } from 'tap'
import type { Identity } from '../../../lib/index.js'
import type { SubscriptionAccess } from '../../../lib/server/kinds.js'
import type { Refusals } from '../../../lib/server/reports/refusals.js'
import { Decisions, isAdmitting, type Decision } from '../../../lib/server/subscribing/decisions.js'
import { Timers } from '../../../lib/time/timers.js'
import { eventually, gate, loopTurns } from '../../waiting.js'

function applicantOf (userId: string) {
  return {
    identity: { userId },
    client: { userId, connectionId: `c-${userId}` },
    isEnding: false,
    addresses: 0,
    noteAddress () { this.addresses++ }
  }
}

/** Decisions, and the refusals that they record: reason, connection, detail, and text of the error. */
function setup (t: Test, decide: SubscriptionAccess['decide'], timeout = 60_000) {
  const timers = new Timers()
  // The timers do not keep the process running.
  const running = setInterval(() => {}, 1_000)
  t.teardown(() => {
    clearInterval(running)
    timers.close()
  })
  const refused: unknown[][] = []
  const refusals: Pick<Refusals, 'add'> = {
    add: (reason, { connectionId }, detail, error) => { refused.push([reason, connectionId, detail, error?.().message]) }
  }
  const decisions = new Decisions({ timers, timeout, refusals: refusals as Refusals })
  const access: SubscriptionAccess = { isValid: () => true, decide }
  return { refused, of: (applicant: ReturnType<typeof applicantOf>, channels: string[]) => decisions.of(access, applicant, channels) }
}

t.test('each channel is allowed or forbidden, and a channel that is forbidden is recorded', async t => {
  const asked: Array<[Identity, readonly string[]]> = []
  const { refused, of } = setup(t, async (identity, channels) => {
    asked.push([identity, channels])
    return channels.map(channel => channel === 'k:yes')
  })
  const ada = applicantOf('ada')
  t.strictSame(await of(ada, ['k:yes', 'k:no', 'k:yes']), ['allowed', 'forbidden', 'allowed'])
  t.strictSame(asked, [[ada.identity, ['k:yes', 'k:no', 'k:yes']]])
  t.strictSame(refused, [['channel_forbidden', 'c-ada', 'k:no', undefined]])
  t.equal(ada.addresses, 1, 'the address is read before the wait, because a closed socket has none')
})

t.test('a hidden user is admitted, and no refusal is recorded', async t => {
  const verdicts = [true, 'hidden', false] as const
  const { refused, of } = setup(t, async () => [...verdicts])
  const decisions: Decision[] = [...await of(applicantOf('ada'), ['k:a', 'k:b', 'k:c']), 'unavailable']
  t.strictSame(decisions, ['allowed', 'hidden', 'forbidden', 'unavailable'])
  t.strictSame(decisions.map(isAdmitting), [true, true, false, false])
  t.strictSame(refused.map(([, , channel]) => channel), ['k:c'])
})

t.test('a throw and a rejection make all channels unavailable, and the error is recorded', async t => {
  for (const decide of [async () => { throw new Error('of the app') }, () => { throw new Error('of the app') }]) {
    const { refused, of } = setup(t, decide)
    t.strictSame(await of(applicantOf('ada'), ['k:a', 'k:b']), ['unavailable', 'unavailable'])
    t.strictSame(refused, [['channel_unavailable', 'c-ada', 'k:a', 'of the app']])
  }
})

t.test('a decision that takes longer than the timeout is unavailable, and its slot is free again', async t => {
  let isHanging = true
  const { refused, of } = setup(t, async () => isHanging ? new Promise(() => {}) : [true], 20)
  const late = Array.from({ length: 50 }, () => of(applicantOf('ada'), ['k:a']))
  t.strictSame([...new Set((await Promise.all(late)).flat())], ['unavailable'])
  t.match(refused[0], ['channel_unavailable', 'c-ada', 'k:a', /20 ms/])
  isHanging = false
  t.strictSame(await of(applicantOf('ada'), ['k:a']), ['allowed'])
})

t.test('a user whose decisions hang has at most 50 of 100, so that another user is decided about', async t => {
  let asked = 0
  const { of } = setup(t, ({ userId }) => {
    if (userId !== 'ada') return Promise.resolve([true])
    asked++
    return new Promise(() => {})
  })
  for (let n = 0; n < 200; n++) of(applicantOf('ada'), ['k:a'])
  t.strictSame(await of(applicantOf('bob'), ['k:a']), ['allowed'])
  t.equal(asked, 50)
})

t.test('authorize is not called for a connection that ends while it waits', async t => {
  const { opened, open } = gate<boolean[]>()
  const asked: string[] = []
  const { refused, of } = setup(t, async (_identity, [channel]) => { asked.push(channel); return opened })
  for (let n = 0; n < 50; n++) of(applicantOf('ada'), ['k:first'])
  const ended = applicantOf('ada')
  const waiting = of(ended, ['k:waiting', 'k:too'])
  await loopTurns()
  ended.isEnding = true
  open([true])
  t.strictSame(await waiting, ['unavailable', 'unavailable'])
  await eventually(() => asked.length === 50)
  t.notOk(asked.includes('k:waiting'))
  t.strictSame(refused, [])
})

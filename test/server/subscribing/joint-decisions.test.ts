import t from 'tap'
import type { ChannelKind } from '../../../lib/server/kinds.js'
import type { Applicant, Decision, Decisions } from '../../../lib/server/subscribing/decisions.js'
import { JointDecisions } from '../../../lib/server/subscribing/joint-decisions.js'
import { loopTurns } from '../../waiting.js'
import { countAlive } from '../../leaks.js'

const kindOf = (name: string, isJoint?: boolean) => ({ name, access: { isJoint } }) as ChannelKind
const [joint, other, single] = [kindOf('joint', true), kindOf('other', true), kindOf('single')]
const [ada, bob] = ['ada', 'bob'].map(userId => ({ identity: { userId } }) as Applicant)

/** Decisions that are allowed for channels that end with 1, with a note of each question. */
function setup () {
  const asked: string[] = []
  const of = async (_access: unknown, { identity }: Applicant, channels: readonly string[]): Promise<Decision[]> => {
    asked.push(`${identity.userId} ${channels}`)
    return channels.map(channel => channel.endsWith('1') ? 'allowed' : 'forbidden')
  }
  return { asked, decisions: new JointDecisions({ of } as unknown as Decisions) }
}

t.test('channels of a kind that decides about each one are asked for separately, and at once', async t => {
  const { asked, decisions } = setup()
  const cases = ['s:1', 's:2'].map(channel => decisions.announce(single, ada, channel))
  t.equal(await cases[1].ask(), 'forbidden')
  t.strictSame(asked, ['ada s:2'], 'the other case is not asked for yet')
  t.equal(await cases[0].ask(), 'allowed')
  t.strictSame(asked, ['ada s:2', 'ada s:1'])
  t.doesNotThrow(() => decisions.announce(single, ada, 's:3').cancel())
})

t.test('channels of a joint kind are asked for once, when all that were announced are asked for or cancelled', async t => {
  const { asked, decisions } = setup()
  const [first, second, cancelled] = ['j:1', 'j:2', 'j:3'].map(channel => decisions.announce(joint, ada, channel))
  const answers = [first.ask(), second.ask()]
  await loopTurns()
  t.strictSame(asked, [])
  cancelled.cancel()
  t.strictSame(await Promise.all(answers), ['allowed', 'forbidden'])
  t.strictSame(asked, ['ada j:1,j:2'])
})

t.test('connections and kinds are asked for separately', async t => {
  const { asked, decisions } = setup()
  const cases = [
    decisions.announce(joint, ada, 'j:1'), decisions.announce(other, ada, 'o:2'), decisions.announce(joint, bob, 'j:2'), decisions.announce(joint, ada, 'j:3')
  ]
  t.strictSame(await Promise.all(cases.map(each => each.ask())), ['allowed', 'forbidden', 'forbidden', 'forbidden'])
  t.strictSame(asked.sort(), ['ada j:1,j:3', 'ada o:2', 'bob j:2'])
})

t.test('nothing is asked when all channels are cancelled, and later channels are a question of their own', async t => {
  const { asked, decisions } = setup()
  for (const channel of ['j:1', 'j:2']) decisions.announce(joint, ada, channel).cancel()
  await loopTurns()
  t.strictSame(asked, [])
  t.equal(await decisions.announce(joint, ada, 'j:1').ask(), 'allowed')
  t.equal(await decisions.announce(joint, ada, 'j:2').ask(), 'forbidden')
  t.strictSame(asked, ['ada j:1', 'ada j:2'])
})

t.test('nothing is kept of a connection whose channels are decided', async t => {
  const { decisions } = setup()
  const ask = async () => {
    const applicant = { identity: { userId: 'eve' } } as Applicant
    await decisions.announce(joint, applicant, 'j:1').ask()
    return new WeakRef(applicant)
  }
  const applicants = [await ask(), await ask()]
  await loopTurns()
  t.equal(countAlive(applicants), 0)
})

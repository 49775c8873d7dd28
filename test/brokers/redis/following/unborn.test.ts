import t from 'tap'
import { newEpoch } from '../../../../lib/brokers/redis/epoch.js'
import { isUnborn, Unborn } from '../../../../lib/brokers/redis/following/unborn.js'
import { formatPosition, parsePosition } from '../../../../lib/protocol/position.js'
import { found } from '../../../every.js'

const hour = 60 * 60 * 1_000
const day = Date.UTC(2026, 10, 26)

t.test('the epoch of a channel without a publication is valid in a position, and differs from those of other channels', async t => {
  const { epoch } = new Unborn(() => newEpoch(), () => day)
  const position = { epoch, offset: 0 }
  t.strictSame(parsePosition(formatPosition('u', position)), { label: 'u', position })
  t.equal(isUnborn(epoch), true)
  t.strictSame(found(Array.from({ length: 1_000 }, newEpoch), isUnborn), [])
})

t.test('the epoch changes after an hour, when the clock is set back by an hour, and when Redis has lost its data', async t => {
  let [era, now] = ['a', day]
  const unborn = new Unborn(() => era, () => now)
  const { epoch } = unborn
  now += hour - 1
  t.equal(unborn.epoch, epoch)
  now += 1
  const later = unborn.epoch
  t.not(later, epoch)
  now -= hour
  const behind = unborn.epoch
  t.not(behind, later)
  era = 'b'
  t.not(unborn.epoch, behind)
})

t.test('an epoch from before the clock is known is valid in a position, and precedes no channel once the clock is known', async t => {
  const clock: { now?: number } = {}
  const unborn = new Unborn(() => 'a', () => clock.now)
  const { epoch } = unborn
  t.strictSame(parsePosition(formatPosition('u', { epoch, offset: 0 })), { label: 'u', position: { epoch, offset: 0 } })
  t.equal(unborn.precedes()(epoch), true)
  clock.now = day
  t.equal(unborn.precedes()(epoch), false)
})

t.test('epochs of the last 23 hours precede a channel that is read now, within one era', async t => {
  let [era, now]: [string, number | undefined] = ['a', day]
  const unborn = new Unborn(() => era, () => now)
  const { epoch } = unborn
  const at = (hours: number) => {
    now = day + hours * hour
    return unborn.precedes()
  }
  t.strictSame([0, 23, 23.1].map(hours => at(hours)(epoch)), [true, true, false])
  t.strictSame(['e1', '', 'unborn', `${epoch}0`].map(at(0)), [false, false, false, false])
  t.equal(at(-1)(epoch), true, 'the clock of another Redis may be behind')
  now = undefined
  t.equal(unborn.precedes()(epoch), true, 'the last known time counts while the clock is unknown')
  era = 'b'
  now = day
  t.equal(unborn.precedes()(epoch), false)
})

t.test('an epoch precedes a channel only while its meta cannot have expired since', async t => {
  let now = day
  const unborn = new Unborn(() => 'a', () => now)
  const { epoch } = unborn
  now = day + 30_000
  t.equal(unborn.precedes(60_000)(epoch), true)
  now = day + 30_001
  t.equal(unborn.precedes(60_000)(epoch), false)
  t.equal(unborn.precedes()(epoch), true)
})

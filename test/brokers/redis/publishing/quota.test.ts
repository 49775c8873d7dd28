import t from 'tap'
import { Quota } from '../../../../lib/brokers/redis/publishing/quota.js'
import { kinds } from '../../../kinds.js'
import { clockStart } from '../../../clock.js'

const { ownerOf } = kinds
const limitsOf = (channel: string) => ({ size: 100, ttl: channel.startsWith('chat:') ? 10_000 : 1_000, bytes: 1_000_000 })

function make (limit = 10_000) {
  const lines: Array<Record<string, unknown>> = []
  const clock = { now: clockStart }
  const log = { error: (fields: object, message: string) => { lines.push({ ...fields, message }) }, info () {} }
  const quota = new Quota({ limit, ownerOf, log, now: () => clock.now })
  return { quota, lines, clock, fits: (channel: string, bytes: number) => quota.refusal(channel, bytes, limitsOf(channel)) === undefined }
}

t.test('all channels of a user count towards one quota, and those of other users do not', async t => {
  const { quota, fits } = make()
  t.equal(fits('user:ada', 5_000), true)
  t.equal(fits('chat:w/a/c1/ada', 4_000), true)
  t.match(quota.refusal('chat:w/a/c2/ada', 1_000, limitsOf('chat:w/a/c2/ada')), { code: 'RT_ERR_OVER_QUOTA', statusCode: 429, message: /'ada' already has 10000 bytes .* 'limits.stored'/ })
  t.equal(fits('user:bob', 5_000), true)
})

t.test('channels without a user have no quota', async t => {
  const { fits } = make()
  for (const channel of ['broadcast', '~nodes', 'board:b1']) t.equal(fits(channel, 1_000_000), true, channel)
})

t.test('stored bytes leak over the retention time of their channel', async t => {
  const { fits, clock } = make()
  fits('user:ada', 4_936)
  fits('chat:w/a/c/ada', 4_936)
  t.equal(fits('user:ada', 2_000), false)
  clock.now = clockStart + 500
  t.equal(fits('user:ada', 4_936), true, 'the bytes of the notifications have leaked, and those of the chat have not')
  t.equal(fits('user:ada', 1_000), false)
})

t.test('giveBack frees the bytes of a publication that was not stored', async t => {
  const { quota, fits } = make()
  fits('user:ada', 9_900)
  t.equal(fits('user:ada', 100), false)
  quota.giveBack('user:ada', 9_900, limitsOf('user:ada'))
  t.equal(fits('user:ada', 9_900), true)
})

t.test('each channel costs bytes besides its publications, so that short publications in many chats do not evade the quota', async t => {
  const { quota, fits } = make(100_000)
  let channels = 0
  while (channels < 1_000 && fits(`chat:w/a/c${channels}/ada`, 1)) quota.onBegun(`chat:w/a/c${channels++}/ada`, limitsOf('chat:'))
  t.ok(channels > 10 && channels < 100_000 / 4_700, `${channels} channels`)
})

t.test('the cost of a channel counts from the time it began', async t => {
  const { quota, fits, clock } = make()
  clock.now = clockStart + 10_000
  quota.onBegun('user:ada', limitsOf('user:ada'))
  t.equal(fits('user:ada', 5_200), false)
  t.equal(fits('user:ada', 5_000), true)
})

t.test('channels without a user are not charged to a user of the same name', async t => {
  const { quota, fits } = make()
  for (let n = 0; n < 3; n++) quota.onBegun('broadcast', limitsOf('broadcast'))
  t.equal(fits('user:broadcast', 9_000), true)
})

t.test('a quota has a clock of its own, and works without a log', async t => {
  const quota = new Quota({ limit: 10_000, ownerOf, log: undefined })
  const ofHour = { size: 100, ttl: 3_600_000, bytes: 1_000_000 }
  const codes = [5_000, 6_000, 4_000].map(bytes => (quota.refusal('user:ada', bytes, ofHour) as { code?: string } | undefined)?.code)
  t.strictSame(codes, [undefined, 'RT_ERR_OVER_QUOTA', undefined])
})

t.test('a user over the quota is logged once a minute', async t => {
  const { fits, lines, clock } = make()
  for (let n = 0; n < 5; n++) fits('user:ada', 20_000)
  fits('user:bob', 20_000)
  t.match(lines, [{ userId: 'ada', limit: 10_000, message: /'limits.stored'/ }, { userId: 'bob' }])
  t.equal(lines.length, 2)
  clock.now = clockStart + 60_000
  fits('user:ada', 20_000)
  t.equal(lines.length, 3)
})

t.test('1,000 users are remembered as logged; beyond that number they may be logged again', async t => {
  const { fits, lines } = make()
  const users = Array.from({ length: 1_001 }, (_, n) => `u${n}`)
  for (const user of [...users, 'u0', 'u1000']) fits(`user:${user}`, 20_000)
  t.strictSame(lines.map(({ userId }) => userId), [...users, 'u0'])
})

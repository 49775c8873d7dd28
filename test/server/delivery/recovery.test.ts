import fc from 'fast-check'
import t from 'tap'
import { ChannelLog } from '../../../lib/logs/channel-log.js'
import { parseSince } from '../../../lib/protocol/position.js'
import { Recovery, sinceOf, startOf } from '../../../lib/server/delivery/recovery.js'
import type { Subscriber } from '../../../lib/server/delivery/subscription.js'
import { chatKind } from '../../../lib/chat/kind.js'
import { broadcastKind, userKind } from '../../../lib/notifications/kinds.js'

const kindOf = { u: userKind, b: broadcastKind, c: chatKind }

/** A log whose last `size` of `head` publications can be recovered. */
function logOf (label: keyof typeof kindOf, epoch: string, head: number, size: number) {
  const log = new ChannelLog(epoch, { size, ttl: 1_000, lag: 1_000 })
  for (let n = 1; n <= head; n++) log.append(`${n}`, 0)
  return { kind: kindOf[label], channel: `${kindOf[label].name}:u`, log }
}

t.test('sinceOf() returns the position at which a client resumes, and undefined for an invalid since', async t => {
  t.equal(sinceOf(undefined, userKind), 'now')
  t.equal(sinceOf(undefined, chatKind), 'beginning')
  for (const kind of [userKind, chatKind]) {
    t.equal(sinceOf('0', kind), 'all')
    t.strictSame(sinceOf('u.a.5', kind), new Map([['u', { epoch: 'a', offset: 5 }]]))
    for (const since of ['', 'x', 'u.a', ['0'], ['u.a.1', 'u.a.2'], null, 0, {}]) t.equal(sinceOf(since, kind), undefined, JSON.stringify(since))
  }
})

t.test('a client resumes at its position in every log, or at the head of all logs with recovered: false', async t => {
  // The last 4 of 10 publications can be recovered, from offset 6 on, and all 3 of the other log.
  const logs = () => [logOf('u', 'aa', 10, 4), logOf('b', 'bb', 3, 4)]
  const start = (since: string) => startOf(logs(), parseSince(since))
  const head = [10, 3]

  t.strictSame(startOf(logs(), 'now'), { offsets: head })
  t.strictSame(startOf(logs(), 'beginning'), { offsets: [6, 0] })
  t.strictSame(startOf(logs(), 'all'), { offsets: [6, 0], recovered: false }, 'one log has lost its first publication')
  t.strictSame(startOf([logOf('u', 'aa', 4, 4), logOf('b', 'bb', 0, 4)], 'all'), { offsets: [0, 0], recovered: true }, 'both logs are whole')
  t.strictSame(startOf(logs(), undefined), { offsets: head, recovered: false }, 'since is invalid')

  t.strictSame(start('u.aa.6,b.bb.0'), { offsets: [6, 0], recovered: true }, 'the whole history is replayed')
  t.strictSame(start('b.bb.2,u.aa.8'), { offsets: [8, 2], recovered: true }, 'positions may have any order')
  t.strictSame(start('u.aa.10,b.bb.3'), { offsets: head, recovered: true }, 'the client missed no publication')
  t.strictSame(start('u.aa.7'), { offsets: [7, 3], recovered: true }, 'a log without a position starts at its head')

  const never = {
    'a publication has been evicted': 'u.aa.5,b.bb.3',
    'a position is of another epoch': 'u.aa.10,b.xx.3',
    'a position is beyond the head': 'u.aa.11,b.bb.3',
    'a position is of another channel': 'u.bb.3,b.aa.10',
    'no position is of these logs': 'c.aa.10'
  }
  for (const [why, since] of Object.entries(never)) t.strictSame(start(since), { offsets: head, recovered: false }, why)

  const lagging = logOf('c', 'cc', 3, 4)
  lagging.log.add({ offset: 0, epoch: 'cc', wake () {}, catchUp () {} })
  for (let n = 4; n <= 10; n++) lagging.log.append(`${n}`, 0)
  t.equal(lagging.log.first, 1)
  t.strictSame(startOf([lagging], 'all'), { offsets: [6], recovered: false }, 'entries that are kept for lagging readers are not recovered')

  t.strictSame(startOf([], 'beginning'), { offsets: [] })
  t.strictSame(startOf([logOf('c', 'cc', 0, 4)], parseSince('c.cc.0')), { offsets: [0], recovered: true }, 'an empty log is recovered')
})

t.test('recovery is never partial', async t => {
  const position = fc.tuple(fc.constantFrom('u', 'b', 'c'), fc.constantFrom('aa', 'bb'), fc.nat(15)).map(parts => parts.join('.'))
  const positions = fc.array(position, { minLength: 1, maxLength: 3 })
  t.doesNotThrow(() => fc.assert(fc.property(positions, fc.nat(12), fc.nat(12), (parts, ofUser, ofAll) => {
    const logs = [logOf('u', 'aa', ofUser, 5), logOf('b', 'bb', ofAll, 5)]
    const since = parseSince(parts.join(','))
    const { offsets, recovered } = startOf(logs, since)
    return logs.every(({ kind, log }, at) => {
      const asked = since instanceof Map ? since.get(kind.label) : undefined
      if (!recovered || asked === undefined) return offsets[at] === log.head
      return log.canRecover(asked) && offsets[at] === asked.offset
    })
  }), { numRuns: 300 }))
})

const subscriber: Subscriber = { isDeflated: false, identity: { userId: 'u' }, onRemoved () {}, onDoubt () {}, wake () {}, catchUp () {} }

t.test('conclude() returns the position of a connection, and the number and the bytes of replayed messages', async t => {
  const logs = [logOf('u', 'aa', 10, 4), logOf('b', 'bb', 3, 4), logOf('c', 'cc', 0, 4)]
  const recovery = new Recovery(subscriber, logs, parseSince('u.aa.8,b.bb.1,c.cc.0'))
  t.strictSame(recovery.subscriptions.map(({ kind, channel, log, offset }) => [kind.label, channel, log, offset]),
    [['u', 'user:u', logs[0].log, 8], ['b', 'broadcast:u', logs[1].log, 1], ['c', 'chat:u', logs[2].log, 0]])
  t.equal(recovery.isRecovered, true)
  const bytes = logs[0].log.bytes * 2 / 4 + logs[1].log.bytes * 2 / 3
  t.strictSame(recovery.conclude(), { position: 'u.aa.8,b.bb.1,c.cc.0', recovered: true, replayed: 4, bytes })
})

t.test('a message that is published before the connection_ack is replayed, and the position stays', async t => {
  const logs = [logOf('u', 'aa', 10, 4), logOf('b', 'bb', 3, 4)]
  const recovery = new Recovery(subscriber, logs, 'now')
  t.equal(recovery.isRecovered, false)
  for (const { log } of logs) log.append('x', 0)
  t.match(recovery.conclude(), { position: 'u.aa.10,b.bb.3', recovered: undefined, replayed: 2 })
})

t.test('a connection that is lost in one log before the connection_ack starts at the head of all logs', async t => {
  const logs = [logOf('u', 'aa', 10, 4), logOf('b', 'bb', 3, 4)]
  const recovery = new Recovery(subscriber, logs, parseSince('u.aa.8,b.bb.1'))
  while (logs[0].log.first <= 9) logs[0].log.shift()
  t.strictSame(recovery.conclude(), { position: 'u.aa.10,b.bb.3', recovered: false, replayed: 0, bytes: 0 })
})

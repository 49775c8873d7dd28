import t from 'tap'
import { dataFrames, presenceKind, presenceName } from '../../lib/presence/kind.js'
import { PresenceLog } from '../../lib/presence/log/presence-log.js'

t.test('the log of a channel has a kind of its own, to which nobody can subscribe', async t => {
  t.equal(presenceName('board:b1'), 'presence:board:b1')
  t.equal(presenceKind.access, undefined)
  t.ok(presenceKind.createLog!('e', { size: 0, ttl: 1, lag: 0 }, () => '') instanceof PresenceLog)
})

t.test('a frame names the channel and has no position', async t => {
  const frame = dataFrames(json => json, 'board:b1')({ epoch: 'e', offset: 3 }, '{"count":1}')
  const { timestamp, ...rest } = JSON.parse(String(frame))
  t.strictSame(rest, { type: 'presence', channel: 'board:b1', data: { count: 1 } })
  t.ok(Date.parse(timestamp) > 0)
})

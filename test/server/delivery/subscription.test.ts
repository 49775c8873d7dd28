import t from 'tap'
import { ChannelLog } from '../../../lib/logs/channel-log.js'
import { userKind } from '../../../lib/notifications/kinds.js'
import { Subscription } from '../../../lib/server/delivery/subscription.js'

t.test('a subscription reads on from its offset, and is flushed before it would miss an entry', async t => {
  const log = new ChannelLog('e1', { size: 2, ttl: 1_000, lag: 0 })
  const woken: number[] = []
  let reads = 0
  const subscriber = {
    isDeflated: false,
    identity: { userId: 'u' },
    onRemoved () {},
    onDoubt () {},
    wake: (_subscription: Subscription, audience: number) => { woken.push(audience) },
    catchUp: () => { reads++ }
  }
  const channel = { kind: userKind, channel: 'user:u', log }
  log.append('a', 0)
  const subscription = new Subscription(subscriber, channel, 0)
  const other = new Subscription(subscriber, channel, log.head)
  t.equal(subscription.position, 'u.e1.0')
  t.strictSame([subscription.kind, subscription.channel, subscription.start], [userKind, 'user:u', 0])
  t.strictSame([subscription.behind, subscription.isBehind, other.isBehind], [1, true, false])
  log.append('b', 0)
  t.strictSame(woken, [2, 2])
  t.equal(subscription.read(100, false), 'ab')
  t.equal(subscription.position, 'u.e1.2')

  for (const text of ['c', 'd', 'e']) log.append(text, 0)
  t.ok(reads > 0, 'the subscription can read before an entry is evicted')
  t.equal(subscription.isLost(), true)
  subscription.skipToHead()
  t.strictSame([subscription.isLost(), subscription.position, subscription.read(100, false)], [false, 'u.e1.5', ''])

  t.equal(subscription.start, 0, 'it keeps the offset at which it started')
  subscription.end()
  other.end()
  woken.length = 0
  log.append('f', 0)
  t.strictSame(woken, [])
})

t.test('a subscription reports the removal of its own user, and doubt about removals, and not the removal of another user', async t => {
  const log = new ChannelLog('e1', { size: 2, ttl: 1_000, lag: 0 })
  const calls: unknown[] = []
  const subscriber = {
    isDeflated: false,
    identity: { userId: 'u' },
    onRemoved: (of: Subscription) => { calls.push(['removed', of]) },
    onDoubt: (of: Subscription) => { calls.push(['doubt', of]) },
    wake () {},
    catchUp () {}
  }
  const subscription = new Subscription(subscriber, { kind: userKind, channel: 'user:u', log }, 0)
  subscription.onRemoved('other')
  t.strictSame(calls, [])
  subscription.onRemoved('u')
  subscription.onDoubt()
  t.strictSame(calls, [['removed', subscription], ['doubt', subscription]])
})

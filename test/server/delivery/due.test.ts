import t from 'tap'
import { Due } from '../../../lib/server/delivery/due.js'
import type { Subscription } from '../../../lib/server/delivery/subscription.js'

const subscription = (channel: string) => ({ channel, next: undefined }) as unknown as Subscription

/** Takes all subscriptions out. */
function take (due: Due): string[] {
  const channels: string[] = []
  for (let { first } = due; first !== undefined; first = due.first) {
    due.take(first)
    channels.push(first.channel)
  }
  return channels
}

t.test('subscriptions are read in the order in which they were added, each once', async t => {
  const due = new Due()
  const [a, b, c] = ['a', 'b', 'c'].map(subscription)
  for (const added of [a, b, a, c, b]) due.add(added)
  t.strictSame(take(due), ['a', 'b', 'c'])
  for (const added of [c, a]) due.add(added)
  t.strictSame(take(due), ['c', 'a'])
})

t.test('remove() takes out a subscription in any place and keeps the order of the others', async t => {
  for (const removed of ['a', 'b', 'c', 'd']) {
    const due = new Due()
    const all = ['a', 'b', 'c', 'd'].map(subscription)
    const others = all.filter(({ channel }) => channel !== removed)
    for (const one of removed === 'd' ? others : all) due.add(one)
    due.remove(all.find(({ channel }) => channel === removed)!)
    t.strictSame(take(due), others.map(({ channel }) => channel))
    for (const one of all) due.add(one)
    t.equal(take(due).length, 4, 'the removed one can be added again')
  }
})

t.test('a late subscription is read after the others, and is held while too much of what is late is on its way', async t => {
  const due = new Due()
  const pings: string[] = []
  const [late, other] = [subscription('late'), subscription('other')]
  due.add(late)
  due.add(other)
  t.strictSame([due.take(other), due.take(late)], [false, true], 'only the first one can be taken')
  due.addLate(late, 1_000, ping => pings.push(ping))
  t.strictSame(take(due), ['other', 'late'])
  t.equal(pings.length, 1)
  due.addLate(late, 100_000, ping => pings.push(ping))
  t.equal(due.first, undefined)
  due.add(late)
  t.equal(due.first, undefined, 'new publications do not change that')
  t.equal(due.confirm('?'), false)
  t.equal(due.confirm(pings[0]), true)
  t.strictSame([due.first, pings.length], [undefined, 2], 'the bytes were written after the first ping')
  t.equal(due.confirm(pings[1]), true)
  t.strictSame(take(due), ['late'])
})

t.test('what is held is read again when no ping was answered for a while, and can be removed', async t => {
  const due = new Due()
  const [late, other] = [subscription('late'), subscription('other')]
  const hold = (held: Subscription) => due.addLate(held, 100_000, () => {})
  t.equal(due.releaseStuck(), false)
  hold(late)
  t.equal(due.releaseStuck(), false)
  t.equal(due.releaseStuck(), true)
  t.strictSame(take(due), ['late'])
  hold(late)
  hold(other)
  due.remove(late)
  due.release()
  t.strictSame(take(due), ['other'])
  due.add(late)
  hold(other)
  due.clear()
  due.release()
  t.equal(due.first, undefined)
})

import t from 'tap'
import { byChannel, isOver, type PendingPublication } from '../../../../lib/brokers/redis/publishing/batch.js'

function publications (channels: string[]): PendingPublication[] {
  return channels.map((channel, number) => ({
    channel,
    body: '{}',
    limits: { size: 1, ttl: 1, bytes: 1 },
    isDefault: false,
    mark: `m${number}`,
    number,
    server: () => undefined,
    bytes: 1,
    at: 0,
    resolve () {},
    reject () {},
    isSettled: false
  }))
}

t.test('byChannel groups publications by channel, in their order', async t => {
  const all = publications(['a', 'b', 'a', 'c', 'a'])
  const numbers = [...byChannel(all)].map(([channel, some]) => [channel, some.map(({ number }) => number)])
  t.strictSame(numbers, [['a', [0, 2, 4]], ['b', [1]], ['c', [3]]])
})

t.test('a batch is over once all its publications are settled', async t => {
  const all = publications(['a', 'b'])
  const batch = { server: undefined, publications: all, channels: byChannel(all), sentAt: 0, deadline: 0 }
  t.equal(isOver(batch), false)
  all[0].isSettled = true
  t.equal(isOver(batch), false)
  all[1].isSettled = true
  t.equal(isOver(batch), true)
})

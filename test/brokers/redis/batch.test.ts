import t from 'tap'
import { byChannel, isOver, settle, type PendingPublication } from '../../../lib/brokers/redis/batch.js'

function publications (channels: string[]) {
  const outcomes: unknown[] = []
  const all: PendingPublication[] = channels.map((channel, number) => ({
    channel,
    body: '{}',
    mark: `m${number}`,
    number,
    slot: 0,
    bytes: 1,
    at: 0,
    resolve: position => outcomes.push(position),
    reject: error => outcomes.push(error.message),
    isSettled: false
  }))
  return { all, outcomes }
}

t.test('publications are grouped by channel, in their order', async t => {
  const { all } = publications(['a', 'b', 'a', 'c', 'a'])
  const numbers = [...byChannel(all)].map(([channel, some]) => [channel, some.map(({ number }) => number)])
  t.strictSame(numbers, [['a', [0, 2, 4]], ['b', [1]], ['c', [3]]])
})

t.test('each is settled once, and the batch is over with the last', async t => {
  const { all, outcomes } = publications(['a', 'b'])
  const batch = { server: undefined, publications: all, channels: byChannel(all), sentAt: 0, deadline: 0 }
  settle(all[0], { epoch: 'e', offset: 1 })
  settle(all[0], new Error('too late'))
  t.equal(isOver(batch), false)
  settle(all[1], new Error('no'))
  settle(all[1], { epoch: 'e', offset: 1 })
  t.equal(isOver(batch), true)
  t.strictSame(outcomes, [{ epoch: 'e', offset: 1 }, 'no'])
})

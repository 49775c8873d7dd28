import t from 'tap'
import { Keys } from '../../../../lib/brokers/redis/keys.js'
import type { PendingPublication } from '../../../../lib/brokers/redis/publishing/batch.js'
import { RedisClock } from '../../../../lib/brokers/redis/clock.js'
import { Doubts } from '../../../../lib/brokers/redis/publishing/doubts.js'
import { BatchPublisher } from '../../../../lib/brokers/redis/publishing/publisher.js'
import { Traffic } from '../../../../lib/brokers/redis/publishing/traffic.js'
import type { RedisLink } from '../../../../lib/brokers/redis/link/link.js'
import { clockStart } from '../../../clock.js'
import { startLink } from '../../../redis-nodes.js'
import { RedisServer, skipRedis } from '../../../redis-server.js'
import { eventually, loopTurns } from '../../../waiting.js'

t.test('a batch in doubt is looked up in Redis after its deadline: each publication is found or missing', { skip: skipRedis }, async t => {
  const { url } = await RedisServer.start(t)
  const { link } = startLink(t, { url })
  const keys = new Keys('t:')
  const limits = { size: 10, ttl: 60_000, bytes: 1_000_000 }
  const publisher = new BatchPublisher(link, keys)
  t.teardown(() => publisher.close())
  await publisher.ready(5_000)
  const { epoch } = await publisher.publish('a', '{"n":1}', limits)
  const client = link.client
  const [[, fields]] = await client.xrevrange(keys.stream('a'), '+', '-', 'COUNT', 1)
  const stored = fields[fields.indexOf('m') + 1]

  const clock = new RedisClock(false)
  const traffic = new Traffic()
  const outcomes: unknown[] = []
  const settle = (publication: PendingPublication, outcome: unknown) => {
    publication.isSettled = true
    outcomes.push([publication.mark, outcome])
  }
  const doubts = new Doubts({
    link, keys, clock, traffic, storedWithin: 1_500, onFound: settle, onMissing: publication => settle(publication, 'missing')
  })
  const pending = [stored, 'other'].map((mark, number): PendingPublication => ({
    channel: 'a', body: '{}', limits, isDefault: false, mark, number, server: () => undefined, bytes: 1, at: 0, resolve () {}, reject () {}, isSettled: false
  }))
  const now = performance.now()
  clock.learn(Date.now(), now, now)
  const batch = { server: undefined, publications: pending, channels: new Map([['a', pending]]), sentAt: 0, deadline: Date.now() + 200 }
  doubts.add(batch)
  doubts.ask(now)
  t.strictSame([doubts.size, traffic.size], [1, 0], 'Redis may still store the batch')
  await eventually(() => {
    doubts.ask(performance.now())
    return outcomes.length === 2
  })
  t.strictSame(outcomes, [[stored, { epoch, offset: 1 }], ['other', 'missing']])
  await eventually(() => traffic.size === 0)
  t.equal(doubts.size, 0)
  doubts.add(batch)
  t.equal(doubts.size, 0, 'a settled batch is not added')
  const late = { ...pending[0], isSettled: false }
  const other = { ...batch, publications: [late] }
  doubts.add(other)
  doubts.drop(other)
  t.equal(doubts.size, 1, 'a batch that is not settled stays')
  late.isSettled = true
  doubts.drop(other)
  t.equal(doubts.size, 0)
})

t.test('a batch stays in doubt until Redis has answered for certain, and is looked up again', async t => {
  const deadline = clockStart + 1_500
  const clock = new RedisClock(false)
  const traffic = new Traffic()
  const outcomes: string[] = []
  const asked: unknown[] = []
  /** Answers to the next requests: Redis's time, and the offset of the publication. */
  const answers: Array<[now: number, offset: number] | Error> = []
  const link = {
    isReady: true,
    run: async (_script: unknown, _keys: string[], args: unknown[]) => {
      asked.push(args)
      const answer = answers.shift()!
      if (answer instanceof Error) throw answer
      return [answer[0], 'e', answer[1]]
    }
  }
  const publication = { mark: 'm', channel: 'a', isSettled: false } as PendingPublication
  const settle = (outcome: string) => {
    publication.isSettled = true
    outcomes.push(outcome)
  }
  const doubts = new Doubts({
    link: link as unknown as RedisLink,
    keys: new Keys('t:'),
    clock,
    traffic,
    storedWithin: 1_500,
    onFound: (_publication, { epoch, offset }) => settle(`${epoch} ${offset}`),
    onMissing: () => settle('missing')
  })
  const batch = { server: undefined, publications: [publication], channels: new Map([['a', [publication]]]), sentAt: 0, deadline }
  doubts.add(batch)
  /** Asks at a time, and returns the outcomes, and whether the batch is still in doubt. */
  const ask = async (now: number, answer: [number, number] | Error = new Error('not asked')) => {
    answers.splice(0, answers.length, answer)
    doubts.ask(now)
    await loopTurns()
    return [outcomes.join(), doubts.size, traffic.size]
  }
  t.strictSame(await ask(deadline + 1), ['', 1, 0], 'the time of Redis is not known')
  clock.learn(clockStart, clockStart, clockStart)
  t.strictSame(await ask(deadline), ['', 1, 0], 'Redis may still store it at its deadline')
  link.isReady = false
  t.strictSame(await ask(deadline + 1), ['', 1, 0], 'Redis cannot be asked')
  t.strictSame(asked, [])
  link.isReady = true
  t.strictSame(await ask(deadline + 1, new Error('cut')), ['', 1, 0], 'the request failed')
  t.strictSame(await ask(deadline + 1, [deadline, 0]), ['', 1, 0], 'another server, whose deadline is not over, does not have it')
  t.strictSame(await ask(deadline + 1, [deadline + 1, -1]), ['', 1, 0], 'it may have left the stream')
  t.strictSame(await ask(deadline + 1, [deadline + 1, 7]), ['e 7', 0, 0])
  t.strictSame(asked, Array(4).fill([clockStart, 'm']), 'it cannot have been stored before it was sent')
  publication.isSettled = false
  doubts.add(batch)
  t.strictSame(doubts.batches, [batch])
  t.strictSame(await ask(deadline + 1, [deadline + 1, 0]), ['e 7,missing', 0, 0])
})

import t from 'tap'
import { Checks } from '../../../../lib/brokers/redis/following/checks.js'
import type { StreamHead } from '../../../../lib/brokers/redis/commands/read.js'
import { Feed, type Fed, type ReadPublications } from '../../../../lib/brokers/redis/following/feed.js'
import { never } from '../../../../lib/logs/log.js'
import { alwaysBorn } from '../../../../lib/brokers/redis/following/unborn.js'
import { loopTurns } from '../../../waiting.js'

const nowhere = { head: { epoch: 'e', offset: 0, mark: '' }, isTailLost: false, isForked: false, stored: [] }

async function begun (read: () => Promise<ReadPublications> = async () => nowhere): Promise<Feed> {
  const log: Fed = {
    epoch: 'e',
    head: 0,
    precedes: never,
    append () { this.head++ },
    begin (epoch) { this.epoch = epoch },
    reset (epoch, head = 0) { Object.assign(this, { epoch, head }) }
  }
  const feed = new Feed({ createLog: () => log, unborn: alwaysBorn, read, mend: async () => false })
  await feed.catchUp()
  return feed
}

t.test('checks that start in one turn share one request, with each channel once', async t => {
  const asked: string[][] = []
  const checks = new Checks(async keys => {
    asked.push(keys)
    return keys.map(() => nowhere.head)
  })
  const [a, b] = [await begun(), await begun()]
  await Promise.all([checks.confirm('a', a), checks.confirm('b', b), checks.confirm('a', a)])
  t.strictSame(asked, [['a', 'b']])
})

t.test('a check that starts during the request of an earlier check sends its own request', async t => {
  let go: Array<() => void> = []
  let count = 0
  const checks = new Checks(async keys => {
    count++
    await new Promise<void>(resolve => go.push(resolve))
    return keys.map(() => nowhere.head)
  })
  const feed = await begun()
  const first = checks.confirm('a', feed)
  await loopTurns()
  const second = checks.confirm('a', feed)
  await loopTurns()
  t.equal(count, 2)
  for (const open of go.splice(0)) open()
  go = []
  await Promise.all([first, second])
})

t.test('at most four requests run at once, with at most 10 channels each', async t => {
  let running = 0
  let most = 0
  const sizes: number[] = []
  const checks = new Checks(async keys => {
    most = Math.max(most, ++running)
    sizes.push(keys.length)
    await loopTurns()
    running--
    return keys.map(() => nowhere.head)
  }, 10)
  const feed = await begun()
  await Promise.all(Array.from({ length: 105 }, (_, n) => checks.confirm(String(n), feed)))
  t.equal(most, 4)
  t.equal(sizes.length, 11)
})

t.test('a failed request rejects the checks of all its channels; a channel that cannot be read rejects only its own check', async t => {
  let heads: () => Promise<Array<StreamHead | undefined>> = async () => { throw new Error('away') }
  const checks = new Checks(() => heads())
  const good = await begun()
  let isBad = false
  const bad = await begun(async () => {
    if (isBad) throw new Error('unreadable')
    return nowhere
  })
  t.strictSame((await Promise.allSettled([checks.confirm('a', good), checks.confirm('b', bad)])).map(({ status }) => status), ['rejected', 'rejected'])
  heads = async () => [nowhere.head, undefined]
  isBad = true
  const outcomes = await Promise.allSettled([checks.confirm('a', good), checks.confirm('b', bad)])
  t.strictSame(outcomes.map(({ status }) => status), ['fulfilled', 'rejected'])
})

t.test('a channel whose tail Redis has lost is read again; a channel that gets a publication during the check is not', async t => {
  let reads = 0
  const feed = await begun(async () => {
    reads++
    return nowhere
  })
  const announce = (offset: number) => feed.onAnnounced([{ epoch: 'e', offset, mark: `m${offset}`, body: '{}' }])
  announce(1)
  const goingOn = new Checks(async () => {
    announce(2)
    return [{ epoch: 'e', offset: 1, mark: 'm1' }]
  })
  await goingOn.confirm('a', feed)
  t.equal(reads, 1)
  const behind = new Checks(async () => [{ epoch: 'e', offset: 1, mark: 'm1' }])
  await behind.confirm('a', feed)
  t.equal(reads, 2)
})

import { EventEmitter } from 'node:events'
import { mock } from 'node:test'
import type { Cluster } from 'ioredis'
import t from 'tap'
import { appendScript } from '../../../../lib/brokers/redis/commands/append.js'
import { findScript } from '../../../../lib/brokers/redis/commands/find.js'
import type { Script } from '../../../../lib/brokers/redis/commands/script.js'
import { Keys } from '../../../../lib/brokers/redis/keys.js'
import { Health } from '../../../../lib/brokers/redis/link/health.js'
import type { RedisLink } from '../../../../lib/brokers/redis/link/link.js'
import { BatchPublisher } from '../../../../lib/brokers/redis/publishing/publisher.js'
import type { Quota } from '../../../../lib/brokers/redis/publishing/quota.js'
import type { Position } from '../../../../lib/protocol/position.js'
import { every } from '../../../every.js'
import { eventually, gate, within, loopTurns } from '../../../waiting.js'
import { startLink } from '../../../redis-nodes.js'
import { ChaosProxy, RedisServer, skipRedis, startCluster } from '../../../redis-server.js'

const keys = new Keys('t:')
const limits = { size: 5_000, ttl: 60_000, bytes: 4 * 1024 * 1024 }

class Publisher extends BatchPublisher {
  override publish (channel: string, body: string): Promise<Position> {
    return super.publish(channel, body, limits)
  }
}

t.test('a publication is stored in a Cluster whose clocks were set forward', { skip: skipRedis }, async t => {
  const { link } = startLink<Cluster>(t, { client: (await startCluster(t)).client() })
  const publisher = new Publisher(link, keys)
  t.teardown(() => publisher.close())
  await publisher.ready(5_000)
  await publisher.publish('user:a', '{}')
  // The time that the publisher learned before the clocks were set.
  const now = performance.now()
  publisher.clock.learn(Date.now() - 60_000, now, now)
  const stored = await Promise.all(['a', 'b', 'c'].map(user => publisher.publish(`user:${user}`, '{}')))
  t.strictSame(stored.map(({ offset }) => offset), [2, 1, 1])
})

t.test('a publisher stores publications in batches, and reports the outcome of each publication', { skip: skipRedis }, async t => {
  const server = await RedisServer.start(t)
  const client = server.client(t)
  const proxy = await ChaosProxy.start(t, server.port)

  async function make (t: { teardown (action: () => unknown): void }, prepare?: () => Promise<unknown>) {
    const { link, connection } = startLink(t, { url: proxy.url })
    const publisher = new Publisher(link, keys, prepare)
    t.teardown(() => publisher.close())
    await publisher.ready(5_000)
    return { link, connection, publisher }
  }

  const calls = async () => {
    const stats = await client.info('commandstats')
    return Number(/cmdstat_evalsha:calls=(\d+)/.exec(stats)?.[1] ?? 0)
  }

  t.test('all publications of one turn are sent in one round trip', async t => {
    const { publisher } = await make(t)
    await publisher.publish('warm', '{}')
    const before = await calls()
    await Promise.all(Array.from({ length: 200 }, (_, n) => publisher.publish(`user:${n}`, '{}')))
    t.equal(await calls(), before + 1)
  })

  t.test('1,000 publications of one turn are stored in order, in several batches', async t => {
    const { publisher } = await make(t)
    const positions = await Promise.all(Array.from({ length: 1_000 }, (_, n) => publisher.publish('burst', `{"n":${n}}`)))
    t.ok(every(positions, ({ offset }, n) => offset === n + 1))
    const [[, fields]] = await client.xrevrange(keys.stream('burst'), '+', '-', 'COUNT', 1)
    t.equal(fields[fields.indexOf('b') + 1], '{"n":999}')
  })

  t.test('Redis refuses a publication that arrives after its outcome was given up', async t => {
    const { publisher } = await make(t)
    proxy.hold()
    await t.rejects(publisher.publish('away', '{}'), { code: 'RT_ERR_UNCONFIRMED' })
    proxy.release()
    // Its answer comes after that to the publication, on the same connection.
    await eventually(() => publisher.publish('later', '{}').then(() => true, () => false))
    t.equal(await client.exists(keys.stream('away')), 0)
  })

  t.test('publications that could not be written return to their place in the queue', async t => {
    const { connection, publisher } = await make(t)
    const evalsha = connection.evalsha.bind(connection)
    let attempts = 0
    connection.evalsha = (async () => {
      attempts++
      throw new Error("Stream isn't writeable and enableOfflineQueue options is false")
    }) as unknown as typeof evalsha
    const first = Array.from({ length: 300 }, () => publisher.publish('again', '{}'))
    await eventually(() => attempts > 1)
    connection.evalsha = evalsha
    const positions = await Promise.all([...first, publisher.publish('again', '{}')])
    t.ok(every(positions, ({ offset }, n) => offset === n + 1))
  })

  t.test('a refused publication names the error that Redis returned', async t => {
    const { publisher } = await make(t)
    await client.config('SET', 'maxmemory', '1')
    await t.rejects(publisher.publish('full', '{}'), { code: 'RT_ERR_BROKER', message: /maxmemory/ })
    await client.config('SET', 'maxmemory', '0')
    t.equal((await publisher.publish('full', '{}')).offset, 1)
  })

  t.test('publications are sent once preparations are done, or after half a second', async t => {
    let prepared = () => {}
    let count = 0
    const { link, connection, publisher } = await make(t, async () => {
      if (count++ > 0) await new Promise<void>(resolve => { prepared = resolve })
    })
    await publisher.publish('prepared', '{}')
    connection.disconnect(true)
    await eventually(() => count === 2 && link.isReady)
    let isStored = false
    const stored = publisher.publish('prepared', '{}').then(() => { isStored = true })
    await client.ping()
    t.equal(isStored, false)
    prepared()
    await stored
    connection.disconnect(true)
    await eventually(() => count === 3)
    t.equal((await publisher.publish('prepared', '{}')).offset, 3, 'a preparation that takes too long does not stop publications')
  })

  t.test('each publication is sent after its turn, without the regular checks', async t => {
    const { publisher } = await make(t)
    mock.timers.enable({ apis: ['setInterval'] })
    t.teardown(() => mock.timers.reset())
    for (let n = 1; n <= 3; n++) t.equal((await within(publisher.publish('turns', '{}'), 'a publication is stored', 2_000)).offset, n)
    await loopTurns()
  })

  t.test('the first publication of a channel is charged to the quota once, and the charge is returned if nothing is stored', async t => {
    const { publisher } = await make(t)
    const charged: unknown[] = []
    publisher.quota = {
      refusal: () => undefined,
      onBegun: (channel: string) => { charged.push(['begun', channel]) },
      giveBack: (channel: string, bytes: number) => { charged.push(['given back', channel, bytes]) }
    } as unknown as Quota
    for (let n = 0; n < 2; n++) await Promise.all([publisher.publish('quota', '{}'), publisher.publish('quota', '{}')])
    await client.set(keys.meta(keys.stream('wrong')), 'no hash', 'EX', 60)
    await t.rejects(publisher.publish('wrong', '{"n":1}'), { code: 'RT_ERR_BROKER' })
    t.strictSame(charged, [['begun', 'quota'], ['given back', 'wrong', 7]])
  })

  t.test('close rejects the publications under way, and later publications are refused', async t => {
    const { publisher } = await make(t)
    const underWay = publisher.publish('closed', '{}')
    const waiting = publisher.close()
    await t.rejects(underWay, { code: 'RT_ERR_CLOSING' })
    await t.rejects(publisher.publish('closed', '{}'), { code: 'RT_ERR_CLOSING' })
    await waiting
  })
})

/**
 * A publisher with a Redis that the test plays. `append` gets deadline and bodies of a batch, `find` looks for publications whose answers
 * were lost, and both return what the script would. Clock and timers of the publisher move only by `pass`.
 */
async function played (
  t: { teardown (action: () => unknown): void },
  append: (deadline: number, bodies: string[]) => Promise<unknown>,
  find?: () => Promise<unknown>
) {
  // An integer, so that differences are exact.
  let time = Math.ceil(performance.now())
  const mocked = mock.method(performance, 'now', () => time)
  mock.timers.enable({ apis: ['setInterval', 'setTimeout'] })
  const health = new Health('t:')
  const reconnect = mock.fn()
  const seconds = Math.floor(Date.now() / 1_000)
  const link = {
    client: Object.assign(new EventEmitter(), { status: 'ready', time: async () => [String(seconds), '0'] }),
    health,
    isReady: true,
    isCluster: false,
    publishCommand: 'PUBLISH',
    reconnect,
    ask: (_name: string, asked: Promise<unknown>) => asked,
    run: (script: Script, _keys: string[], args: Array<string | number>) => {
      if (script === findScript && find !== undefined) return find()
      if (script !== appendScript) throw new Error(`${script.name} is not expected`)
      return append(Number(args[0]), args.slice(3).flatMap(String).filter(part => part.startsWith('{')))
    }
  }
  const publisher = new Publisher(link as unknown as RedisLink, keys)
  t.teardown(async () => {
    const closed = publisher.close()
    await loopTurns()
    // The next check finds that nothing is left.
    mock.timers.tick(50)
    await within(closed, 'the end of the publisher')
    mocked.mock.restore()
    mock.timers.reset()
  })
  await publisher.ready(5_000)
  return {
    publisher,
    health,
    link,
    reconnect,
    now: () => publisher.clock.at(performance.now())!,
    /** Lets time pass, in ms. Regular checks and batches that are due happen. */
    pass (ms: number) {
      time += ms
      mock.timers.tick(ms)
    }
  }
}

t.test('a publisher whose server was demoted connects again, and one whose server is full does not', async t => {
  let error = 'READONLY You can\'t write against a read only replica.'
  const { publisher, health, reconnect, now } = await played(t, async () => [now(), error, -1])
  await t.rejects(publisher.publish('a', '{}'), { code: 'RT_ERR_BROKER', message: /READONLY/ })
  t.equal(reconnect.mock.callCount(), 1)
  t.equal(health.isFailing(appendScript.name), true)
  error = 'OOM command not allowed'
  await t.rejects(publisher.publish('a', '{}'), { code: 'RT_ERR_BROKER', message: /OOM/ })
  t.equal(reconnect.mock.callCount(), 1)
})

t.test('a publication that is stored but not announced is a success, and PUBLISH counts as failing until one is announced', async t => {
  const answers = [['e', 1, 'NOPERM this user has no permissions to access one of the channels used as arguments'], ['e', 2]]
  const { publisher, health, now } = await played(t, async () => [now(), ...answers.shift()!])
  t.strictSame(await publisher.publish('a', '{}'), { epoch: 'e', offset: 1 })
  t.equal(health.isFailing('PUBLISH'), true)
  t.strictSame(await publisher.publish('a', '{}'), { epoch: 'e', offset: 2 })
  t.equal(health.isFailing('PUBLISH'), false)
})

t.test('a batch that Redis refuses as too late, but which was sent in time, is sent again with its corrected time', async t => {
  const deadlines: number[] = []
  const hour = 3_600_000
  // The clock of Redis was set forward.
  const time = Date.now() + hour
  const { publisher, pass } = await played(t, async deadline => deadlines.push(deadline) === 1 ? [time] : [time, 'e', 2])
  const stored = Promise.all([publisher.publish('a', '{}'), publisher.publish('a', '{}')])
  await eventually(() => deadlines.length === 1)
  await loopTurns()
  // The next check sends them again.
  pass(50)
  const positions = await within(stored, 'the outcomes')
  t.strictSame(positions.map(({ offset }) => offset), [1, 2], 'in their order')
  t.equal(deadlines.length, 2)
  t.ok(Math.abs(deadlines[1] - deadlines[0] - hour) < 5_000, `${deadlines}`)
})

t.test('a batch that Redis refuses as too late, after a time in which it may have been late, is not stored', async t => {
  const { publisher, now, pass } = await played(t, async () => {
    pass(400)
    return [now()]
  })
  await t.rejects(publisher.publish('a', '{}'), { code: 'RT_ERR_BROKER', message: /Redis was too slow and refused the publication/ })
})

t.test('a publication whose script Redis refuses is not stored, and the error names the reason', async t => {
  const refused = Object.assign(new Error("NOPERM this user has no permissions to run the 'evalsha' command"), { name: 'ReplyError' })
  const { publisher } = await played(t, async () => {
    await loopTurns()
    throw refused
  })
  await t.rejects(publisher.publish('a', '{}'), { code: 'RT_ERR_BROKER', message: /NOPERM/ })
})

t.test('a publication that is not sent within 1.1 s is not stored, and the outcome of one without an answer for 1.7 s is unknown', async t => {
  const answered = gate()
  let sent = 0
  const { publisher, link, now, pass } = await played(t, async () => {
    sent++
    await answered.opened
    return [now(), 'e', 1]
  })
  link.isReady = false
  const waiting = publisher.publish('a', '{}')
  pass(1_100)
  await t.rejects(waiting, { code: 'RT_ERR_BROKER' })
  t.equal(sent, 0)
  link.isReady = true
  const unanswered = publisher.publish('a', '{}')
  await eventually(() => sent === 1)
  pass(1_700)
  await t.rejects(unanswered, { code: 'RT_ERR_UNCONFIRMED' })
  answered.open()
})

t.test('while Redis is away, 1,000 publications wait for it, and more are refused at once', async t => {
  const sent: string[] = []
  const { publisher, link, now, pass } = await played(t, async (_deadline, bodies) => {
    sent.push(...bodies)
    return [now(), 'e', sent.length]
  })
  link.isReady = false
  const waiting = Array.from({ length: 1_000 }, (_, n) => publisher.publish('a', `{"n":${n}}`))
  await t.rejects(publisher.publish('a', '{}'), { code: 'RT_ERR_BROKER', message: /too much is waiting/ })
  link.isReady = true
  // The next check sends them.
  pass(50)
  const positions = await within(Promise.all(waiting), 'the outcomes')
  t.ok(every(positions, ({ offset }, n) => offset === n + 1))
  t.equal(sent.length, 1_000)
  t.ok(every(sent, (body, n) => body === `{"n":${n}}`))
})

t.test('a publication of any size is accepted while nothing else waits, and then nothing beyond 8 MiB', async t => {
  let answered = gate()
  const { publisher, now } = await played(t, async () => {
    await answered.opened
    return [now(), 'e', 1]
  })
  const mib = 1024 * 1024
  const huge = publisher.publish('a', `{"x":"${'x'.repeat(9 * mib)}"}`)
  await t.rejects(publisher.publish('a', '{}'), { message: /too much is waiting/ })
  answered.open()
  await within(huge, 'the answer to the large publication')
  answered = gate()
  // With 200 bytes for each publication.
  const half = `{"x":"${'x'.repeat(4 * mib - 200 - 8)}"}`
  const all = [publisher.publish('a', half), publisher.publish('b', half)]
  await t.rejects(publisher.publish('c', ''), { message: /too much is waiting/ })
  answered.open()
  await within(Promise.all(all), 'the answers to both publications')
})

t.test('settled publications no longer count as waiting, whatever their outcome', async t => {
  const answered = gate()
  let mode: 'stored' | 'refused' | 'unanswered' = 'stored'
  const { publisher, now, pass } = await played(t, async () => {
    if (mode === 'unanswered') await answered.opened
    return mode === 'refused' ? [now(), 'OOM command not allowed', -1] : [now(), 'e', 1]
  })
  // Three count as more than 8 MiB, and two as too much while Redis is slow.
  const large = `{"x":"${'x'.repeat(3 * 1024 * 1024)}"}`
  const refused = async (code: string, message: RegExp, ms: number) => {
    const rejected = t.rejects(publisher.publish('a', large), { code, message })
    await loopTurns()
    pass(ms)
    // The check counts once the answers that arrived before it have been read.
    await loopTurns()
    await within(Promise.resolve(rejected), code)
  }
  for (let n = 0; n < 3; n++) await publisher.publish('a', large)
  await Promise.all(Array.from({ length: 3_000 }, () => publisher.publish('a', '{}')))
  mode = 'refused'
  for (let n = 0; n < 3; n++) await refused('RT_ERR_BROKER', /OOM/, 0)
  mode = 'unanswered'
  await refused('RT_ERR_UNCONFIRMED', /Redis/, 1_700)
  // Behind the unanswered one they are not sent.
  for (let n = 0; n < 2; n++) await refused('RT_ERR_BROKER', /Redis does not answer/, 1_100)
  answered.open()
})

t.test('in one turn more than 3,000 publications or 4 MiB may come, and once Redis is slow no more than that', async t => {
  const large = `{"x":"${'x'.repeat(1024 * 1024)}"}`
  for (const [name, bodies] of [['3,001 publications', Array(3_001).fill('{}')], ['over 4 MiB', Array(4).fill(large)]] as const) {
    t.test(name, async t => {
      const answered = gate()
      let stored = 0
      const { publisher, now, pass } = await played(t, async (_deadline, batch) => {
        await answered.opened
        stored += batch.length
        return [now(), 'e', stored]
      })
      const sent = bodies.map(body => publisher.publish('a', body))
      pass(51)
      await loopTurns()
      await t.rejects(publisher.publish('a', bodies[0]), { code: 'RT_ERR_BROKER', message: /too much/ })
      answered.open()
      const positions = await within(Promise.all(sent), 'the outcomes')
      t.ok(every(positions, ({ offset }, n) => offset === n + 1))
      t.ok(await publisher.publish('a', '{}'))
    })
  }
})

t.test('while a batch is under way, later publications gather in the next batch', async t => {
  const answered = gate()
  const batches: number[] = []
  let stored = 0
  const { publisher, now, pass } = await played(t, async (_deadline, { length }) => {
    batches.push(length)
    await answered.opened
    stored += length
    return [now(), 'e', stored]
  })
  const all: Array<Promise<Position>> = []
  for (let n = 0; n < 20; n++) {
    all.push(publisher.publish('a', '{}'))
    await loopTurns()
  }
  t.strictSame(batches, [1])
  pass(100)
  t.strictSame(batches, [1, 19])
  answered.open()
  t.strictSame((await Promise.all(all)).map(({ offset }) => offset), all.map((_, n) => n + 1))
})

t.test('while Redis does not answer, what was sent has an unknown outcome, 1,000 wait and are refused, and more are refused at once', async t => {
  const answered = gate()
  const { publisher, now, pass } = await played(t, async () => {
    await answered.opened
    return [now(), 'e', 1]
  })
  const codes = new Map<string, number>()
  const publish = (count: number) => Array.from({ length: count }, () => publisher.publish('a', '{}').catch(({ code, message }) => {
    const key = message.includes('too much') ? 'too much' : code
    codes.set(key, (codes.get(key) ?? 0) + 1)
  }))
  const all = publish(1_000)
  // The last of them gather for 100 ms. After 1.5 s of silence Redis is taken for stalled, however slow it was before.
  pass(100)
  pass(1_450)
  await loopTurns()
  all.push(...publish(2_000))
  await loopTurns()
  t.strictSame([...codes], [['too much', 1_000]])
  pass(150)
  await loopTurns()
  t.equal(codes.get('RT_ERR_UNCONFIRMED'), 1_000, 'the outcome of a sent publication is unknown after 1.7 s')
  t.equal(codes.has('RT_ERR_BROKER'), false)
  pass(950)
  await within(Promise.all(all), 'the outcomes')
  t.equal(codes.get('RT_ERR_BROKER'), 1_000, 'a publication that was not sent within 1.1 s is certainly not stored')
  answered.open()
})

t.test('after a lost answer the publisher asks Redis whether the publication is stored, once Redis would refuse it', async t => {
  let offset = 0
  let lookups = 0
  const { publisher, now, pass } = await played(t, async () => {
    await loopTurns()
    throw new Error('Connection is closed.')
  }, async () => {
    lookups++
    return [now(), 'e', offset]
  })
  const lookedUp = async () => {
    const publication = publisher.publish('a', '{}')
    publication.catch(() => {})
    await loopTurns(20)
    const before = lookups
    pass(1_500)
    await loopTurns()
    t.equal(lookups, before, 'Redis may still store it at its deadline')
    pass(50)
    return within(publication, 'the outcome')
  }
  offset = 7
  t.strictSame(await lookedUp(), { epoch: 'e', offset: 7 })
  offset = 0
  await t.rejects(lookedUp(), { code: 'RT_ERR_BROKER', message: /connection to Redis was lost/ })
  t.equal(lookups, 2)
})

import { mock } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import fc from 'fast-check'
import t from 'tap'
import type { Broker, CreateLog, Retention } from '../../lib/brokers/broker.js'
import { ChannelLog } from '../../lib/logs/channel-log.js'
import type { Log, Reader } from '../../lib/logs/log.js'
import { MemoryBroker, type MemoryBrokerOptions } from '../../lib/brokers/memory.js'
import { brokerContract } from '../../lib/testing/index.js'
import type { Position } from '../../lib/protocol/position.js'
import { kinds } from '../kinds.js'

/** As the broker counts: `channel` beside the name of the channel. */
const overhead = { channel: 700, entry: 128 }

function make (options: Partial<MemoryBrokerOptions> = {}): MemoryBroker {
  return new MemoryBroker({ size: 100, ttl: 60_000, bytes: 64 * 1024 * 1024, lag: 4 * 1024 * 1024, ...options })
}

/** A broker with a clock that stands still until it is set. */
function clocked (options: Partial<MemoryBrokerOptions> = {}) {
  const clock = { now: 0 }
  return { clock, broker: make({ ttl: 1_000, ...options, now: () => clock.now }) }
}

const roomy = { size: 100, ttl: 60_000, lag: 4 * 1024 * 1024 }

const createLog: CreateLog = (_channel, epoch, limits) => new ChannelLog(epoch, limits)

function reader (log: Log, isReading = true): Reader & { text: string } {
  const one = {
    offset: log.head,
    epoch: log.epoch,
    text: '',
    wake () {},
    catchUp () {
      if (isReading) one.text += log.read(one, 100_000)
    }
  }
  log.add(one)
  return one
}

t.test('keeps the contract', async t => {
  for (const { name, run } of brokerContract) t.test(name, () => run(() => make()))
})

t.test('keeps the contract with a small history and little room for who is behind', async t => {
  for (const { name, run } of brokerContract) t.test(name, () => run(() => make({ size: 10, lag: 1_000 })))
})

/** What several `LateBroker`s share. */
class Store {
  readonly channels = new Map<string, { epoch: string, bodies: string[] }>()
  readonly nodes = new Set<LateBroker>()
}

/** As one with a server of its own would be: what is published is in the logs of the nodes some turns later. */
class LateBroker implements Broker {
  readonly #store: Store
  readonly #logs = new Map<string, Log>()
  #isUsed = false
  #createLog: CreateLog = (_channel, epoch, limits) => new ChannelLog(epoch, limits)

  constructor (store: Store) {
    this.#store = store
  }

  async open (createLog: CreateLog): Promise<void> {
    await setImmediate()
    if (this.#isUsed) throw new Error('used')
    this.#isUsed = true
    this.#createLog = createLog
    this.#store.nodes.add(this)
  }

  async publish (channel: string, body: string): Promise<Position> {
    await setImmediate()
    this.#assertOpen()
    const stored = this.#stored(channel)
    const position = { epoch: stored.epoch, offset: stored.bodies.push(body) }
    for (const node of this.#store.nodes) setImmediate().then(() => setImmediate()).then(() => node.#append(channel))
    return position
  }

  async subscribe (channel: string, retention: Retention = {}): Promise<Log> {
    await setImmediate()
    this.#assertOpen()
    const { size = roomy.size, ttl = roomy.ttl } = retention
    const log = this.#logs.get(channel) ?? this.#createLog(channel, this.#stored(channel).epoch, { ...roomy, size, ttl })
    this.#logs.set(channel, log)
    this.#append(channel)
    return log
  }

  stats () {
    const logs = [...this.#logs.values()]
    const sum = (of: (log: Log) => number) => logs.reduce((total, log) => total + of(log), 0)
    return { channels: logs.length, publications: sum(log => log.length), bytes: sum(log => log.bytes) }
  }

  async close (): Promise<void> {
    this.#isUsed = true
    this.#store.nodes.delete(this)
    this.#logs.clear()
  }

  #assertOpen (): void {
    if (!this.#store.nodes.has(this)) throw new Error('closed')
  }

  #stored (channel: string) {
    const stored = this.#store.channels.get(channel) ?? { epoch: `e${this.#store.channels.size}`, bodies: [] }
    this.#store.channels.set(channel, stored)
    return stored
  }

  #append (channel: string): void {
    const log = this.#logs.get(channel)
    if (log === undefined) return
    const { bodies } = this.#stored(channel)
    for (const body of bodies.slice(log.head)) log.append(body, 0)
  }
}

t.test('brokers that share a store and are late keep the contract', async t => {
  for (const { name, run } of brokerContract) {
    const store = new Store()
    t.test(name, () => run(() => new LateBroker(store)))
  }
})

/** Brokers that break their word in one way each. */
const broken: Record<string, () => Broker> = {
  'never answers' () {
    const broker: Broker = make()
    broker.publish = () => new Promise(() => {})
    return broker
  },
  'stores in another order' () {
    const broker: Broker = make()
    const publish = broker.publish.bind(broker)
    let last: Promise<unknown> | undefined
    broker.publish = async (channel, body) => {
      const before = last
      last = before === undefined ? setImmediate() : undefined
      await (before === undefined ? last : undefined)
      return publish(channel, body)
    }
    return broker
  },
  'counts from 0' () {
    const broker: Broker = make()
    const publish = broker.publish.bind(broker)
    broker.publish = async (channel, body) => {
      const { epoch, offset } = await publish(channel, body)
      return { epoch, offset: offset - 1 }
    }
    return broker
  },
  'has epochs unfit for a position' () {
    const broker: Broker = make()
    const publish = broker.publish.bind(broker)
    broker.publish = async (channel, body) => ({ ...await publish(channel, body), epoch: 'a.b' })
    return broker
  },
  'mixes channels' () {
    const broker: Broker = make()
    const publish = broker.publish.bind(broker)
    const subscribe = broker.subscribe.bind(broker)
    broker.publish = (channel, body) => publish(channel.replaceAll(/[:/]/g, '-'), body)
    broker.subscribe = channel => subscribe(channel.replaceAll(/[:/]/g, '-'))
    return broker
  },
  'keeps as much of each channel' () {
    const broker = make()
    const publish = broker.publish.bind(broker)
    broker.publish = (channel, body) => publish(channel, body)
    return broker
  },
  'gives a subscriber a log of its own' () {
    const broker: Broker = make()
    const subscribe = broker.subscribe.bind(broker)
    broker.subscribe = async channel => {
      const log = await subscribe(channel)
      return Object.assign(Object.create(log), { readers: [], add () {}, read: () => '', isLost: () => false })
    }
    return broker
  },
  'appends twice' () {
    const broker: Broker = make()
    const open = broker.open.bind(broker)
    broker.open = createLog => open((...args) => {
      const log = createLog(...args)
      const { append } = log
      return Object.assign(log, {
        append (body: string, now: number) {
          append.call(log, body, now)
          log.head--
          append.call(log, body, now)
        }
      })
    })
    return broker
  },
  'changes what is published' () {
    const broker: Broker = make()
    const publish = broker.publish.bind(broker)
    broker.publish = (channel, body) => publish(channel, Buffer.from(body, 'latin1').toString('latin1'))
    return broker
  },
  'loses one now and then' () {
    const broker: Broker = make()
    const publish = broker.publish.bind(broker)
    let last: Position
    broker.publish = async (channel, body) => body.includes('"n":7}') ? last : (last = await publish(channel, body))
    return broker
  },
  'recovers more than it should' () {
    const broker: Broker = make({ size: 20 })
    const subscribe = broker.subscribe.bind(broker)
    broker.subscribe = async channel => Object.assign(await subscribe(channel), { canRecover: () => true })
    return broker
  },
  'publishes after it was closed' () {
    const broker: Broker = make()
    const publish = broker.publish.bind(broker)
    broker.publish = (channel, body) => {
      try {
        return publish(channel, body)
      } catch {
        return { epoch: 'a', offset: 1 }
      }
    }
    return broker
  },
  'says nothing after it was closed' () {
    const broker: Broker = make()
    const subscribe = broker.subscribe.bind(broker)
    broker.subscribe = channel => {
      try {
        return subscribe(channel)
      } catch {
        return new Promise(() => {})
      }
    }
    return broker
  },
  'starts again under the same epoch' () {
    const broker: Broker = make()
    const open = broker.open.bind(broker)
    broker.open = createLog => open((channel, _epoch, limits) => createLog(channel, 'same', limits))
    const publish = broker.publish.bind(broker)
    broker.publish = async (channel, body) => ({ ...await publish(channel, body), epoch: 'same' })
    const subscribe = broker.subscribe.bind(broker)
    broker.subscribe = async channel => Object.assign(await subscribe(channel), { epoch: 'same' })
    return broker
  },
  'loses what readers have not read' () {
    const broker: Broker = make()
    const publish = broker.publish.bind(broker)
    const subscribe = broker.subscribe.bind(broker)
    const logs = new Map<string, Log>()
    broker.subscribe = async channel => {
      const log = await subscribe(channel)
      logs.set(channel, log)
      return log
    }
    broker.publish = async (channel, body) => {
      const position = publish(channel, body)
      while ((logs.get(channel)?.length ?? 0) > 1) logs.get(channel)?.shift()
      return position
    }
    return broker
  },
  'serves two apps' () {
    const broker: Broker = make()
    const open = broker.open.bind(broker)
    let isOpen = false
    broker.open = createLog => {
      if (!isOpen) open(createLog)
      isOpen = true
    }
    return broker
  },
  'opens after it was closed' () {
    const broker: Broker = make()
    const open = broker.open.bind(broker)
    const close = broker.close.bind(broker)
    let isClosed = false
    broker.close = () => {
      isClosed = true
      return close()
    }
    broker.open = createLog => isClosed ? undefined : open(createLog)
    return broker
  },
  'counts wrong' () {
    const broker: Broker = make()
    broker.stats = () => ({ channels: 0, publications: 0, bytes: 0 })
    return broker
  }
}

/** A part of the name of the obligation that must notice it. */
const noticedBy: Record<string, string> = {
  'never answers': 'offsets 1, 2, 3',
  'stores in another order': 'order of the calls',
  'counts from 0': 'offsets 1, 2, 3',
  'has epochs unfit for a position': 'offsets 1, 2, 3',
  'mixes channels': 'do not mix',
  'keeps as much of each channel': 'with a retention of its own',
  'gives a subscriber a log of its own': 'then the new ones',
  'appends twice': 'gets each publication once',
  'changes what is published': 'any characters',
  'loses one now and then': 'middle of a burst',
  'recovers more than it should': 'no more',
  'publishes after it was closed': 'after close',
  'says nothing after it was closed': 'after close',
  'starts again under the same epoch': 'the next broker',
  'loses what readers have not read': 'any characters',
  'serves two apps': 'opened once',
  'opens after it was closed': 'opened once',
  'counts wrong': 'stats'
}

t.test('the contract notices a broker that', async t => {
  for (const [name, makeBroken] of Object.entries(broken)) {
    await t.test(name, async t => {
      // What the contract waits for in vain need not be waited for here.
      mock.timers.enable({ apis: ['setTimeout'] })
      const over = new AbortController()
      const hurry = async () => {
        while (!over.signal.aborted) {
          mock.timers.tick(100)
          await setImmediate()
        }
      }
      hurry()
      const outcomes: Array<PromiseSettledResult<void>> = []
      for (const { run } of brokerContract) outcomes.push(...await Promise.allSettled([run(makeBroken)]))
      over.abort()
      mock.timers.reset()
      const failed = brokerContract.filter((_, at) => outcomes[at].status === 'rejected').map(({ name }) => name)
      t.ok(failed.some(obligation => obligation.includes(noticedBy[name])), `${name}: ${failed}`)
    })
  }
})

t.test('two brokers, and two incarnations of a channel, have different epochs', async t => {
  const { clock, broker } = clocked()
  const first = await broker.publish('a', '{}')
  t.not((await make().publish('a', '{}')).epoch, first.epoch)
  t.not((await broker.publish('b', '{}')).epoch, first.epoch)
  t.match(first.epoch, /^[a-z0-9]{7,32}$/)
  for (clock.now of [2_000, 4_000]) broker.sweep()
  const again = await broker.publish('a', '{}')
  t.equal(again.offset, 1)
  t.not(again.epoch, first.epoch)
})

t.test('without open the body is the frame', async t => {
  const broker = make()
  await broker.publish('a', '{"n":1}')
  const log = await broker.subscribe('a')
  t.equal(log.read({ offset: 0, epoch: log.epoch, wake () {}, catchUp () {} }, 100), '{"n":1}')
})

t.test('the default clock is monotonic', async t => {
  const monotonic = mock.method(performance, 'now', () => 1_000)
  t.teardown(() => monotonic.mock.restore())
  const broker = make({ ttl: 1 })
  await broker.publish('a', '{}')
  monotonic.mock.mockImplementation(() => 1_002)
  t.equal((await broker.subscribe('a')).beginning, 1)
})

t.test('a wall clock that is set forward or back ends no history', async t => {
  let ahead = 0
  const wall = mock.method(Date, 'now', () => performance.timeOrigin + performance.now() + ahead)
  t.teardown(() => wall.mock.restore())
  const broker = make({ ttl: 1_000 })
  broker.open(createLog)
  t.teardown(() => broker.close())
  const position = await broker.publish('a', '{"n":1}')
  for (const ms of [3_600_000, -3_600_000, 86_400_000]) {
    ahead = ms
    await broker.publish('b', '{"n":1}')
    broker.sweep()
    t.ok((await broker.subscribe('a')).canRecover({ ...position, offset: 0 }), `${ms} ms`)
  }
})

t.test('ttl', async t => {
  t.test('a publication can be recovered until it is older', async t => {
    const { clock, broker } = clocked()
    const first = await broker.publish('a', '{}')
    clock.now = 400
    const second = await broker.publish('a', '{}')
    clock.now = 1_000
    t.equal((await broker.subscribe('a')).canRecover({ ...first, offset: 0 }), true)
    clock.now = 1_001
    const log = await broker.subscribe('a')
    t.equal(log.canRecover({ ...first, offset: 0 }), false)
    t.equal(log.canRecover(first), true)
    t.equal(broker.stats().publications, 1)
    clock.now = 1_401
    await broker.subscribe('a')
    t.equal(log.canRecover(first), false)
    t.equal(log.canRecover(second), true, 'whoever has all misses nothing')
    t.match(broker.stats(), { publications: 0, bytes: overhead.channel + 1 })
  })

  t.test('sweep lets go of what is older', async t => {
    const { clock, broker } = clocked()
    await broker.publish('a', '{}')
    clock.now = 500
    await broker.publish('b', '{}')
    clock.now = 1_200
    broker.sweep()
    t.match(broker.stats(), { channels: 2, publications: 1 })
  })

  t.test('sweep lets go of what was kept for readers that have read it', async t => {
    const { broker } = clocked({ size: 1 })
    const log = await broker.subscribe('a')
    const behind = reader(log)
    for (let n = 0; n < 10; n++) await broker.publish('a', '{}')
    broker.sweep()
    t.equal(broker.stats().publications, 10)
    log.read(behind, 1_000)
    broker.sweep()
    t.equal(broker.stats().publications, 1)
  })

  t.test('sweep runs by itself, and not after close', async t => {
    t.teardown(() => mock.timers.reset())
    mock.timers.enable({ apis: ['setInterval'] })
    const { clock, broker } = clocked()
    broker.open(createLog)
    await broker.publish('a', '{}')
    clock.now = 1_001
    t.equal(broker.stats().publications, 1)
    mock.timers.tick(10_000)
    t.equal(broker.stats().publications, 0)
    broker.close()
    const sweep = mock.method(broker, 'sweep')
    mock.timers.tick(60_000)
    t.equal(sweep.mock.callCount(), 0)
  })
})

t.test('a channel that is not used', async t => {
  t.test('is let go of when it is found without readers twice', async t => {
    const { clock, broker } = clocked()
    await broker.subscribe('a')
    clock.now = 1_000
    broker.sweep()
    t.equal(broker.stats().channels, 1, 'used within ttl')
    clock.now = 1_001
    broker.sweep()
    t.equal(broker.stats().channels, 1, 'the first time')
    clock.now = 2_001
    broker.sweep()
    t.equal(broker.stats().channels, 1, 'not as long again yet')
    clock.now = 2_002
    broker.sweep()
    t.strictSame(broker.stats(), { channels: 0, publications: 0, bytes: 0 })
  })

  t.test('stays while it has readers, and one round longer: who was connected can resume', async t => {
    const { clock, broker } = clocked()
    const log = await broker.subscribe('a')
    const connected = reader(log)
    for (let round = 1; round <= 5; round++) {
      clock.now += 1_001
      broker.sweep()
    }
    log.remove(connected)
    clock.now += 1_001
    broker.sweep()
    t.equal(broker.stats().channels, 1)
    t.equal((await broker.subscribe('a')), log)
    clock.now += 1_001
    broker.sweep()
    t.equal(broker.stats().channels, 1, 'subscribing is using it: it is idle for the first time again')
    await broker.publish('a', '{}')
    clock.now += 1_001
    broker.sweep()
    t.equal(broker.stats().channels, 1, 'and so is publishing')
    clock.now += 1_001
    broker.sweep()
    t.equal(broker.stats().channels, 0)
  })

  t.test('is let go of in all its number', async t => {
    const { clock, broker } = clocked()
    for (let n = 0; n < 1_000; n++) await broker.publish(`user:${n}`, '{}')
    for (clock.now of [1_001, 2_002]) broker.sweep()
    t.strictSame(broker.stats(), { channels: 0, publications: 0, bytes: 0 })
  })
})

t.test('a subscriber is never left with a log that nothing is published to', async t => {
  const { clock, broker } = clocked({ bytes: 8_192 })
  const log = await broker.subscribe('a')
  // Between subscribing and adding the reader others publish, and more than there is room for.
  for (let n = 0; n < 50; n++) await broker.publish(`other:${n}`, JSON.stringify('x'.repeat(500)))
  t.equal(await broker.subscribe('a'), log)
  const subscribed = reader(log)
  for (let n = 0; n < 50; n++) {
    clock.now += 1_001
    await broker.publish(`other:${n}`, JSON.stringify('x'.repeat(500)))
    broker.sweep()
  }
  await broker.publish('a', '{"n":1}')
  t.equal(log.read(subscribed, 1024), '{"n":1}')
})

t.test('bytes', async t => {
  const body = 'x'.repeat(500)
  const one = body.length + overhead.entry

  t.test('the owner that holds most gives up the oldest publications of its largest channel', async t => {
    const { broker } = clocked({ bytes: 100_000 })
    broker.open(createLog, { ownerOf: channel => channel[0] })
    const big = await broker.subscribe('a:big') as ChannelLog
    await broker.publish('a:small', body)
    for (let n = 0; n < 50; n++) await broker.publish('b:1', body)
    for (let n = 0; big.first === 1 && n < 100; n++) await broker.publish('a:big', body)
    t.ok(big.first > 1, 'its own publications went')
    t.equal((await broker.subscribe('a:small')).length, 1, 'its smaller channel kept what it had')
    t.equal((await broker.subscribe('b:1')).length, 50, 'and so did the other owner')
    t.equal(big.length > 30, true, 'and it keeps most')
  })

  for (const [when, step] of [['', 10], [', in the order of their creation within one millisecond', 0]] as const) {
    t.test(`among channels of equal size the least recently used are evicted first${when}`, async t => {
      const { clock, broker } = clocked({ bytes: 100_000 })
      broker.open(createLog, { ownerOf: () => 'ada' })
      const logs: Log[] = []
      for (let n = 10; n < 50; n++) {
        await broker.publish(`chat:${n}`, body)
        logs.push(await broker.subscribe(`chat:${n}`))
        clock.now += step
      }
      const lengths = logs.map(({ length }) => length)
      t.ok(lengths[0] === 0 && lengths[20] === 1, lengths.join(' '))
      t.equal(lengths.lastIndexOf(0), lengths.indexOf(1) - 1)
    })
  }

  t.test('a message that is larger than the share of its owner is kept until the next one', async t => {
    const { broker } = clocked({ bytes: 10_000 })
    broker.open(createLog, { ownerOf: () => 'ada' })
    const log = await broker.subscribe('a')
    const position = await broker.publish('a', 'x'.repeat(8_900))
    t.strictSame([log.length, log.canRecover({ ...position, offset: 0 })], [1, true])
    await broker.publish('a', 'x')
    t.strictSame([log.length, log.canRecover({ ...position, offset: 0 })], [1, false])
  })

  t.test('no owner keeps more than is still free, and whoever has nothing gets something', async () => {
    const step = fc.record({ owner: fc.nat(5), channel: fc.nat(2), size: fc.nat(900) })
    await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 100, maxLength: 300 }), async steps => {
      const { broker } = clocked({ bytes: 50_000, size: 1_000 })
      const held = new Map<string, number>()
      broker.open((_channel, epoch, limits) => new ChannelLog(epoch, limits), { ownerOf: channel => channel.split(':')[0] })
      const channels = new Set<string>()
      for (const { owner, channel, size } of steps) {
        const name = `${owner}:${channel}`
        channels.add(name)
        await broker.publish(name, 'y'.repeat(size))
        const log = await broker.subscribe(name)
        if (log.length === 0) throw new Error('what was just published is gone')
        held.clear()
        for (const name of channels) {
          const [owner] = name.split(':')
          held.set(owner, (held.get(owner) ?? 0) + (await broker.subscribe(name)).bytes + overhead.channel + name.length)
        }
        const { bytes } = broker.stats()
        if (bytes > 50_000 || held.get(String(owner))! > 50_000 - bytes + 900 + overhead.entry) throw new Error(`${held.get(String(owner))} of ${bytes}`)
      }
    }), { numRuns: 30 })
  })

  t.test('a flood into the channels of one user leaves what 200 others have not read', async t => {
    const { clock, broker } = clocked({ bytes: 4 * 1024 * 1024, ttl: 300_000 })
    broker.open(createLog, { ownerOf: kinds.ownerOf })
    const others = Array.from({ length: 200 }, (_, n) => `user:u${n}`)
    const positions = await Promise.all(others.map(channel => broker.publish(channel, body)))
    for (let n = 0; n < 20_000; n++) {
      clock.now += 10
      await broker.publish(`chat:support/shop/c${n % 3_000}/mallory`, 'x'.repeat((n * 37) % 3_000))
    }
    for (const [at, channel] of others.entries()) {
      const log = await broker.subscribe(channel)
      t.equal(log.canRecover({ ...positions[at], offset: 0 }), true)
    }
  })

  t.test('never holds more', async t => {
    const { broker } = clocked({ bytes: 20_000 })
    for (let n = 0; n < 500; n++) {
      await broker.publish(`user:${n % 7}`, 'y'.repeat((n * 37) % 900))
      if (broker.stats().bytes > 20_000) t.fail(`${broker.stats().bytes} after ${n}`)
    }
    t.ok(broker.stats().bytes > 20_000 * 0.7, 'and not much less')
  })

  t.test('readers that are behind are asked to read before', async t => {
    const { broker } = clocked({ bytes: 2 * (overhead.channel + 1 + 3 * one) })
    const log = await broker.subscribe('a')
    const reads = reader(log)
    const sleeps = reader(log, false)
    for (let n = 0; n < 4; n++) await broker.publish('a', body)
    t.equal(reads.text.length, 4 * body.length)
    t.equal(log.isLost(reads), false)
    t.equal(log.isLost(sleeps), true)
  })

  t.test('channels without publications and readers go too, unless they were just handed out', async t => {
    const each = overhead.channel + 'user:0'.length
    const { clock, broker } = clocked({ bytes: 10 * each })
    const connected = await broker.subscribe('user:0')
    reader(connected)
    for (let n = 1; n < 10; n++) await broker.subscribe(`user:${n}`)
    t.equal(broker.stats().channels, 10)
    await broker.subscribe('user:a')
    t.equal(broker.stats().channels, 11, 'too soon')
    clock.now = 2_001
    await broker.subscribe('user:b')
    t.ok(broker.stats().bytes <= 10 * each)
    t.equal(await broker.subscribe('user:0'), connected)
  })
})

t.test('stats are exact', async t => {
  const { clock, broker } = clocked({ size: 3, bytes: 14_000 })
  const logs = new Map<string, Log>()
  for (let n = 0; n < 400; n++) {
    clock.now += n % 90
    const channel = `user:${(n * 7) % 11}`
    if (n % 3 === 0) logs.set(channel, await broker.subscribe(channel))
    else await broker.publish(channel, 'z'.repeat((n * 31) % 700))
    if (n % 10 === 0) broker.sweep()
    if (n % 50 === 0) reader(logs.get(channel)!, n % 100 === 0)
  }
  const before = broker.stats()
  let bytes = 0
  let publications = 0
  // Without a step of the clock nothing expires by being subscribed to, but what is new may have others give way.
  for (let n = 0; n < 11; n++) logs.set(`user:${n}`, await broker.subscribe(`user:${n}`))
  for (let n = 0; n < 11; n++) {
    const log = logs.get(`user:${n}`)!
    bytes += log.bytes + overhead.channel + `user:${n}`.length
    publications += log.length
  }
  t.strictSame(broker.stats(), { channels: 11, publications, bytes })
  t.ok(before.channels > 0 && before.channels <= 11, `${before.channels} channels`)
})

t.test('a broker is opened once, and not after close', async t => {
  const broker = make()
  broker.open(createLog)
  const cure = { code: 'RT_ERR_BROKER_USED', message: /make one for each registration/ }
  t.throws(() => broker.open(createLog), cure)
  broker.close()
  t.throws(() => broker.open(createLog), cure)
})

t.test('after close nothing is kept, and nothing is published or subscribed to', async t => {
  const broker = make()
  broker.open(createLog)
  await broker.publish('a', '{}')
  broker.close()
  t.strictSame(broker.stats(), { channels: 0, publications: 0, bytes: 0 })
  t.throws(() => broker.publish('a', '{}'), { code: 'RT_ERR_CLOSING' })
  t.throws(() => broker.subscribe('a'), { code: 'RT_ERR_CLOSING' })
  broker.sweep()
  t.doesNotThrow(() => broker.close(), 'closing twice is harmless')
})

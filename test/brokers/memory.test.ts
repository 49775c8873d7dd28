import { mock } from 'node:test'
import fc from 'fast-check'
import t from 'tap'
import type { Broker, CreateLog, Retention } from '../../lib/brokers/broker.js'
import { ChannelLog } from '../../lib/logs/channel-log.js'
import type { Log, Reader } from '../../lib/logs/log.js'
import { MemoryBroker, type MemoryBrokerOptions } from '../../lib/brokers/memory.js'
import { brokerContract } from '../../lib/testing/index.js'
import type { Position } from '../../lib/protocol/position.js'
import { kinds } from '../kinds.js'
import { loopTurns } from '../waiting.js'
import { clockStart } from '../clock.js'

/** Bytes that the broker counts: for each channel besides its name, and for each publication besides its body. */
const overhead = { channel: 700, entry: 128 }

function make (options: Partial<MemoryBrokerOptions> = {}): MemoryBroker {
  return new MemoryBroker({ size: 100, ttl: 60_000, bytes: 64 * 1024 * 1024, lag: 4 * 1024 * 1024, ...options })
}

/** A broker with a clock that stands still until it is set. */
function clocked (t: { teardown (action: () => void): void }, options: Partial<MemoryBrokerOptions> = {}) {
  const clock = { now: clockStart }
  const broker = make({ ttl: 1_000, ...options, now: () => clock.now })
  t.teardown(() => broker.close())
  return { clock, broker }
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

t.test('the memory broker keeps the contract', async t => {
  for (const { name, run } of brokerContract) t.test(name, () => run(() => make()))
})

t.test('the memory broker keeps the contract with a small history and a small lag', async t => {
  for (const { name, run } of brokerContract) t.test(name, () => run(() => make({ size: 10, lag: 1_000 })))
})

/** Store that several `LateBroker`s share. */
class Store {
  readonly channels = new Map<string, { epoch: string, bodies: string[] }>()
  readonly nodes = new Set<LateBroker>()
}

/** Broker that behaves as if it had a server: publications reach the logs of the nodes some turns later. */
class LateBroker implements Broker {
  readonly #store: Store
  readonly #logs = new Map<string, Log>()
  #isUsed = false
  #createLog: CreateLog = (_channel, epoch, limits) => new ChannelLog(epoch, limits)

  constructor (store: Store) {
    this.#store = store
  }

  async open (createLog: CreateLog): Promise<void> {
    await loopTurns(1)
    if (this.#isUsed) throw new Error('used')
    this.#isUsed = true
    this.#createLog = createLog
    this.#store.nodes.add(this)
  }

  async publish (channel: string, body: string): Promise<Position> {
    await loopTurns(1)
    this.#assertOpen()
    const stored = this.#stored(channel)
    const position = { epoch: stored.epoch, offset: stored.bodies.push(body) }
    for (const node of this.#store.nodes) loopTurns(2).then(() => node.#append(channel))
    return position
  }

  async subscribe (channel: string, retention: Retention = {}): Promise<Log> {
    await loopTurns(1)
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

t.test('brokers that share a store and append late keep the contract', async t => {
  for (const { name, run } of brokerContract) {
    const store = new Store()
    t.test(name, () => run(() => new LateBroker(store)))
  }
})

/** Brokers that break the contract in one way each. */
const broken: Record<string, () => Broker> = {
  'never answers' () {
    const broker: Broker = make()
    broker.publish = () => new Promise(() => {})
    return broker
  },
  'stores publications in another order' () {
    const broker: Broker = make()
    const publish = broker.publish.bind(broker)
    let last: Promise<unknown> | undefined
    broker.publish = async (channel, body) => {
      const before = last
      last = before === undefined ? loopTurns(1) : undefined
      await (before === undefined ? last : undefined)
      return publish(channel, body)
    }
    return broker
  },
  'starts offsets at 0' () {
    const broker: Broker = make()
    const publish = broker.publish.bind(broker)
    broker.publish = async (channel, body) => {
      const { epoch, offset } = await publish(channel, body)
      return { epoch, offset: offset - 1 }
    }
    return broker
  },
  'has epochs that are invalid in a position' () {
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
  'ignores the retention of a channel' () {
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
  'appends each publication twice' () {
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
  'changes the body of a publication' () {
    const broker: Broker = make()
    const publish = broker.publish.bind(broker)
    broker.publish = (channel, body) => publish(channel, Buffer.from(body, 'latin1').toString('latin1'))
    return broker
  },
  'loses a publication' () {
    const broker: Broker = make()
    const publish = broker.publish.bind(broker)
    let last: Position
    broker.publish = async (channel, body) => body.includes('"n":7}') ? last : (last = await publish(channel, body))
    return broker
  },
  'recovers evicted publications' () {
    const broker: Broker = make({ size: 20 })
    const subscribe = broker.subscribe.bind(broker)
    broker.subscribe = async channel => Object.assign(await subscribe(channel), { canRecover: () => true })
    return broker
  },
  'publishes after close' () {
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
  'never settles subscribe after close' () {
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
  'evicts unread publications' () {
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
  'opens after close' () {
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
  'returns wrong stats' () {
    const broker: Broker = make()
    broker.stats = () => ({ channels: 0, publications: 0, bytes: 0 })
    return broker
  }
}

/** Part of the name of the obligations of which one must detect the broker. */
const noticedBy: Record<string, string> = {
  'never answers': 'offsets 1, 2, 3',
  'stores publications in another order': 'order of the calls',
  'starts offsets at 0': 'offsets 1, 2, 3',
  'has epochs that are invalid in a position': 'offsets 1, 2, 3',
  'mixes channels': 'do not mix',
  'ignores the retention of a channel': 'with a retention of its own',
  'gives a subscriber a log of its own': 'then the new ones',
  'appends each publication twice': 'gets each publication once',
  'changes the body of a publication': 'any characters',
  'loses a publication': 'middle of a burst',
  'recovers evicted publications': 'no more',
  'publishes after close': 'after close',
  'never settles subscribe after close': 'after close',
  'starts again under the same epoch': 'the next broker',
  'evicts unread publications': 'any characters',
  'serves two apps': 'opened once',
  'opens after close': 'opened once',
  'returns wrong stats': 'stats'
}

t.test('the contract detects each way of breaking it', async t => {
  for (const [name, makeBroken] of Object.entries(broken)) {
    await t.test(`the contract detects a broker that ${name}`, async t => {
      // Lets the timeouts of the contract pass at once.
      mock.timers.enable({ apis: ['setTimeout'] })
      const over = new AbortController()
      const hurry = async () => {
        while (!over.signal.aborted) {
          mock.timers.tick(100)
          await loopTurns(1)
        }
      }
      hurry()
      const obligations = brokerContract.filter(obligation => obligation.name.includes(noticedBy[name]))
      const outcomes: Array<PromiseSettledResult<void>> = []
      for (const { run } of obligations) outcomes.push(...await Promise.allSettled([run(makeBroken)]))
      over.abort()
      mock.timers.reset()
      t.ok(outcomes.some(({ status }) => status === 'rejected'), `${name}: ${noticedBy[name]}`)
    })
  }
})

t.test('two brokers, two channels and two incarnations of a channel have different epochs', async t => {
  const { clock, broker } = clocked(t)
  const first = await broker.publish('a', '{}')
  t.not((await make().publish('a', '{}')).epoch, first.epoch)
  t.not((await broker.publish('b', '{}')).epoch, first.epoch)
  t.match(first.epoch, /^[a-z0-9]{7,32}$/)
  for (clock.now of [clockStart + 2_000, clockStart + 4_000]) broker.sweep()
  const again = await broker.publish('a', '{}')
  t.equal(again.offset, 1)
  t.not(again.epoch, first.epoch)
})

t.test('a broker that was not opened uses the body as the frame', async t => {
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

t.test('a wall clock that is set forward or back expires no publications', async t => {
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

t.test('a broker keeps publications for the ttl', async t => {
  t.test('a publication can be recovered until it is older than the ttl', async t => {
    const { clock, broker } = clocked(t)
    const first = await broker.publish('a', '{}')
    clock.now = clockStart + 400
    const second = await broker.publish('a', '{}')
    clock.now = clockStart + 1_000
    t.equal((await broker.subscribe('a')).canRecover({ ...first, offset: 0 }), true)
    clock.now = clockStart + 1_001
    const log = await broker.subscribe('a')
    t.equal(log.canRecover({ ...first, offset: 0 }), false)
    t.equal(log.canRecover(first), true)
    t.equal(broker.stats().publications, 1)
    clock.now = clockStart + 1_401
    await broker.subscribe('a')
    t.equal(log.canRecover(first), false)
    t.equal(log.canRecover(second), true, 'a reader that has every publication misses none')
    t.match(broker.stats(), { publications: 0, bytes: overhead.channel + 1 })
  })

  t.test('sweep evicts publications that are older than the ttl', async t => {
    const { clock, broker } = clocked(t)
    await broker.publish('a', '{}')
    clock.now = clockStart + 500
    await broker.publish('b', '{}')
    clock.now = clockStart + 1_200
    broker.sweep()
    t.match(broker.stats(), { channels: 2, publications: 1 })
  })

  t.test('sweep evicts publications beyond the history once their readers have read them', async t => {
    const { broker } = clocked(t, { size: 1 })
    const log = await broker.subscribe('a')
    const behind = reader(log)
    for (let n = 0; n < 10; n++) await broker.publish('a', '{}')
    broker.sweep()
    t.equal(broker.stats().publications, 10)
    log.read(behind, 1_000)
    broker.sweep()
    t.equal(broker.stats().publications, 1)
  })

  t.test('a broker calls sweep at an interval until close', async t => {
    t.teardown(() => mock.timers.reset())
    mock.timers.enable({ apis: ['setInterval'] })
    const { clock, broker } = clocked(t)
    broker.open(createLog)
    await broker.publish('a', '{}')
    clock.now = clockStart + 1_001
    t.equal(broker.stats().publications, 1)
    mock.timers.tick(10_000)
    t.equal(broker.stats().publications, 0)
    broker.close()
    const sweep = mock.method(broker, 'sweep')
    mock.timers.tick(60_000)
    t.equal(sweep.mock.callCount(), 0)
  })
})

t.test('a broker removes unused channels', async t => {
  t.test('a channel is removed when sweeps find it unused twice, more than a ttl apart', async t => {
    const { clock, broker } = clocked(t)
    await broker.subscribe('a')
    clock.now = clockStart + 1_000
    broker.sweep()
    t.equal(broker.stats().channels, 1, 'the channel was used within the ttl')
    clock.now = clockStart + 1_001
    broker.sweep()
    t.equal(broker.stats().channels, 1, 'the channel is unused for the first time')
    clock.now = clockStart + 2_001
    broker.sweep()
    t.equal(broker.stats().channels, 1, 'no further ttl is over yet')
    clock.now = clockStart + 2_002
    broker.sweep()
    t.strictSame(broker.stats(), { channels: 0, publications: 0, bytes: 0 })
  })

  t.test('a channel stays while it has readers, and one sweep longer, so that their clients can resume', async t => {
    const { clock, broker } = clocked(t)
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
    t.equal(broker.stats().channels, 1, 'subscribe counts as use: the channel is unused for the first time again')
    await broker.publish('a', '{}')
    clock.now += 1_001
    broker.sweep()
    t.equal(broker.stats().channels, 1, 'publish counts as use')
    clock.now += 1_001
    broker.sweep()
    t.equal(broker.stats().channels, 0)
  })

  t.test('two sweeps remove all of 1,000 unused channels', async t => {
    const { clock, broker } = clocked(t)
    for (let n = 0; n < 1_000; n++) await broker.publish(`user:${n}`, '{}')
    for (clock.now of [clockStart + 1_001, clockStart + 2_002]) broker.sweep()
    t.strictSame(broker.stats(), { channels: 0, publications: 0, bytes: 0 })
  })
})

t.test('the log of a subscriber stays the log of its channel, and gets its publications', async t => {
  const { clock, broker } = clocked(t, { bytes: 8_192 })
  const log = await broker.subscribe('a')
  // Between subscribe and the first reader, other channels get more publications than the broker has room for.
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

t.test('a broker holds at most its limit of bytes', async t => {
  const body = 'x'.repeat(500)
  const one = body.length + overhead.entry

  t.test('the oldest publications in the largest channel of the largest owner are evicted first', async t => {
    const { clock, broker } = clocked(t, { bytes: 100_000 })
    broker.open(createLog, { ownerOf: channel => channel[0] })
    await broker.publish('a:small', body)
    clock.now = 500
    const big = await broker.subscribe('a:big') as ChannelLog
    for (let n = 0; n < 50; n++) await broker.publish('b:1', body)
    for (let n = 0; big.first === 1 && n < 100; n++) await broker.publish('a:big', body)
    t.ok(big.first > 1, 'publications of the largest channel are evicted')
    t.equal((await broker.subscribe('a:small')).length, 1, 'the smaller channel keeps its publication, although it is the older one')
    t.equal((await broker.subscribe('b:1')).length, 50, 'the other owner keeps its publications')
    t.equal(big.length > 30, true, 'the largest channel keeps most of its publications')
  })

  for (const [when, step] of [['', 10], [', in the order of their creation within one millisecond', 0]] as const) {
    t.test(`among channels of equal size the least recently used are evicted first${when}`, async t => {
      const { clock, broker } = clocked(t, { bytes: 100_000 })
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
    const { broker } = clocked(t, { bytes: 10_000 })
    broker.open(createLog, { ownerOf: () => 'ada' })
    const log = await broker.subscribe('a')
    const position = await broker.publish('a', 'x'.repeat(8_900))
    t.strictSame([log.length, log.canRecover({ ...position, offset: 0 })], [1, true])
    await broker.publish('a', 'x')
    t.strictSame([log.length, log.canRecover({ ...position, offset: 0 })], [1, false])
  })

  t.test('a message that is larger than the free space evicts publications of smaller owners too', async t => {
    const { broker } = clocked(t, { bytes: 20_000 })
    broker.open(createLog, { ownerOf: channel => channel })
    const [ada, bob] = [await broker.subscribe('ada'), await broker.subscribe('bob')]
    await broker.publish('ada', 'x'.repeat(1_000))
    await broker.publish('bob', 'x'.repeat(18_000))
    t.ok(broker.stats().bytes <= 20_000, `${broker.stats().bytes}`)
    t.strictSame([ada.length, bob.length], [0, 1])
  })

  t.test('no owner keeps more bytes than are still free, and each new publication is kept', async () => {
    const step = fc.record({ owner: fc.nat(5), channel: fc.nat(2), size: fc.nat(900) })
    await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 100, maxLength: 300 }), async steps => {
      const { broker } = clocked(t, { bytes: 50_000, size: 1_000 })
      const held = new Map<string, number>()
      broker.open((_channel, epoch, limits) => new ChannelLog(epoch, limits), { ownerOf: channel => channel.split(':')[0] })
      const channels = new Set<string>()
      for (const { owner, channel, size } of steps) {
        const name = `${owner}:${channel}`
        channels.add(name)
        await broker.publish(name, 'y'.repeat(size))
        const log = await broker.subscribe(name)
        if (log.length === 0) throw new Error('the newest publication is evicted')
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

  t.test('a flood into the channels of one user evicts no publications of 200 other users', async t => {
    const { clock, broker } = clocked(t, { bytes: 4 * 1024 * 1024, ttl: 300_000 })
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

  t.test('a broker never holds more than its limit, and uses most of it', async t => {
    const { broker } = clocked(t, { bytes: 20_000 })
    for (let n = 0; n < 500; n++) {
      await broker.publish(`user:${n % 7}`, 'y'.repeat((n * 37) % 900))
      if (broker.stats().bytes > 20_000) t.fail(`${broker.stats().bytes} after ${n}`)
    }
    t.ok(broker.stats().bytes > 20_000 * 0.7, 'the broker uses most of its limit')
  })

  t.test('a broker calls catchUp of readers that are behind before it evicts publications', async t => {
    const { broker } = clocked(t, { bytes: 2 * (overhead.channel + 1 + 3 * one) })
    const log = await broker.subscribe('a')
    const reads = reader(log)
    const sleeps = reader(log, false)
    for (let n = 0; n < 4; n++) await broker.publish('a', body)
    t.equal(reads.text.length, 4 * body.length)
    t.equal(log.isLost(reads), false)
    t.equal(log.isLost(sleeps), true)
  })

  t.test('channels without publications and readers are removed too, unless they were just subscribed to', async t => {
    const each = overhead.channel + 'user:0'.length
    const { clock, broker } = clocked(t, { bytes: 10 * each })
    const connected = await broker.subscribe('user:0')
    reader(connected)
    for (let n = 1; n < 10; n++) await broker.subscribe(`user:${n}`)
    t.equal(broker.stats().channels, 10)
    await broker.subscribe('user:a')
    t.equal(broker.stats().channels, 11, 'the channels were just subscribed to')
    clock.now = clockStart + 2_001
    await broker.subscribe('user:b')
    t.ok(broker.stats().bytes <= 10 * each)
    t.equal(await broker.subscribe('user:0'), connected)
  })
})

t.test('stats count channels, publications and bytes exactly', async t => {
  const { clock, broker } = clocked(t, { size: 3, bytes: 14_000 })
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
  // The clock stands still, so that subscribe expires nothing. A new channel may still cause evictions.
  for (let n = 0; n < 11; n++) logs.set(`user:${n}`, await broker.subscribe(`user:${n}`))
  for (let n = 0; n < 11; n++) {
    const log = logs.get(`user:${n}`)!
    bytes += log.bytes + overhead.channel + `user:${n}`.length
    publications += log.length
  }
  t.strictSame(broker.stats(), { channels: 11, publications, bytes })
  t.ok(before.channels > 0 && before.channels <= 11, `${before.channels} channels`)
})

t.test('a broker can be opened once, and not after close', async t => {
  const broker = make()
  broker.open(createLog)
  const cure = { code: 'RT_ERR_BROKER_USED', message: /make one for each registration/ }
  t.throws(() => broker.open(createLog), cure)
  broker.close()
  t.throws(() => broker.open(createLog), cure)
})

t.test('a closed broker holds nothing, and publish and subscribe throw', async t => {
  const broker = make()
  broker.open(createLog)
  await broker.publish('a', '{}')
  broker.close()
  t.strictSame(broker.stats(), { channels: 0, publications: 0, bytes: 0 })
  t.throws(() => broker.publish('a', '{}'), { code: 'RT_ERR_CLOSING' })
  t.throws(() => broker.subscribe('a'), { code: 'RT_ERR_CLOSING' })
  broker.sweep()
  t.doesNotThrow(() => broker.close(), 'a second close is harmless')
})

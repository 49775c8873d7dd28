import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import type { Broker, Retention } from '../brokers/broker.js'
import { ChannelLog } from '../logs/channel-log.js'
import type { Frame, Log, Reader } from '../logs/log.js'
import { formatPosition, parsePosition, type Position } from '../protocol/position.js'
import { within } from '../time/within.js'

/**
 * Creates a broker that is not opened yet. One run may call it several times; brokers that share their storage are then several nodes.
 * The history must hold 10 to 1,000 publications, for at least 60 s, in at least 16 MiB.
 */
export type MakeBroker = () => Broker | Promise<Broker>

/** An obligation of every broker. */
export interface BrokerObligation {
  readonly name: string
  /** Rejects when the broker does not meet the obligation, if possible with an AssertionError. Closes the brokers that it created. */
  run (makeBroker: MakeBroker): Promise<void>
}

interface Publication extends Position {
  channel: string
  body: string
}

/** Maximum time until `publish`, and every other call here, settles, in ms. */
const patience = 2_000

/** Maximum bytes of one read. */
const room = 16 * 1024

/** Frames above this many bytes are Buffers, as the server makes them. */
const maxString = 4096

/** A reader that keeps everything it reads. It reads at once when it is woken, or if it is lazy in a later turn of the event loop. */
class Follower implements Reader {
  readonly log: Log
  readonly received: Publication[] = []
  /** Offset at which it began. */
  readonly start: number
  offset: number
  epoch: string
  wakes = 0
  readonly #isLazy: boolean
  #turn: NodeJS.Immediate | undefined
  #wasLost = false
  #onRead = () => {}

  constructor (log: Log, isLazy: boolean) {
    this.log = log
    this.start = log.beginning
    this.offset = log.beginning
    this.epoch = log.epoch
    this.#isLazy = isLazy
    log.add(this)
    this.#read()
  }

  wake (): void {
    this.wakes++
    if (!this.#isLazy) return this.#read()
    this.#turn ??= setImmediate(() => {
      this.#turn = undefined
      this.#read()
    })
  }

  catchUp (): void {
    this.#read()
  }

  #read (): void {
    // Must not throw: the broker calls this while it appends.
    this.#wasLost ||= this.log.isLost(this)
    if (this.#wasLost) return this.#onRead()
    for (let frame = this.log.read(this, room); frame.length > 0; frame = this.log.read(this, room)) {
      this.received.push(...publicationsIn(frame))
    }
    this.#onRead()
  }

  /** Resolves with all publications once they reach `offset`. Checks that they have one epoch and consecutive offsets. */
  async upTo (offset: number): Promise<Publication[]> {
    const arrived = new Promise<void>(resolve => {
      this.#onRead = () => { if (this.offset >= offset || this.#wasLost) resolve() }
      this.#onRead()
    })
    await within(patience, arrived, complaint(() => `publication ${offset} did not arrive; the last one is ${this.offset}`))
    assert.equal(this.#wasLost, false, 'a reader that keeps up must not lose publications')
    const offsets = this.received.map(publication => publication.offset)
    assert.deepEqual(offsets, range(this.start + 1, this.start + offsets.length), 'each offset follows the one before')
    assert.ok(this.received.every(({ epoch }) => epoch === this.epoch), 'all publications have the same epoch')
    return this.received
  }
}

/** A broker, and the publications that its logs have framed. */
class Node {
  readonly broker: Broker
  readonly framed: Publication[] = []
  #isClosed = false

  constructor (broker: Broker) {
    this.broker = broker
  }

  async open (): Promise<this> {
    await this.broker.open((channel, epoch, limits) => new ChannelLog(epoch, limits, (position, body) => {
      const publication = { channel, epoch: position.epoch, offset: position.offset, body }
      this.framed.push(publication)
      const bytes = Buffer.from(`${JSON.stringify(publication)}\n`)
      return bytes.length > maxString ? bytes : bytes.toString('latin1')
    }))
    return this
  }

  async publish (channel: string, body: string, retention?: Retention, publication?: { type: string }): Promise<Position> {
    const published = Promise.resolve(this.broker.publish(channel, body, retention, publication))
    return within(patience, published, complaint(() => 'publish neither resolved nor rejected'))
  }

  /** Publishes in one turn of the event loop, without waiting in between. */
  publishAll (channel: string, bodies: string[]): Promise<Position[]> {
    return Promise.all(bodies.map(body => this.publish(channel, body)))
  }

  async subscribe (channel: string, retention?: Retention): Promise<Log> {
    const subscribed = Promise.resolve(this.broker.subscribe(channel, retention))
    return within(patience, subscribed, complaint(() => 'subscribe neither resolved nor rejected'))
  }

  async follow (channel: string, { isLazy = false } = {}): Promise<Follower> {
    return new Follower(await this.subscribe(channel), isLazy)
  }

  async close (): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    await this.broker.close()
  }
}

function obligation (name: string, check: (start: () => Promise<Node>, make: () => Promise<Node>) => Promise<void>): BrokerObligation {
  return {
    name,
    async run (makeBroker) {
      const nodes: Node[] = []
      const make = async () => {
        const node = new Node(await makeBroker())
        nodes.push(node)
        return node
      }
      const start = async () => (await make()).open()
      try {
        await check(start, make)
      } finally {
        for (const node of nodes) await node.close()
      }
    }
  }
}

/**
 * Obligations of every `Broker`, for any test runner:
 *
 *     for (const { name, run } of brokerContract) test(name, () => run(() => new MyBroker()))
 */
export const brokerContract: readonly BrokerObligation[] = [
  obligation('publications have the offsets 1, 2, 3 of one epoch', async start => {
    const node = await start()
    const channel = unique('user:a')
    const first = await node.publish(channel, bodyOf(1))
    const second = await node.publish(channel, bodyOf(2))
    const third = await node.publish(channel, bodyOf(3))
    assert.deepEqual([first.offset, second.offset, third.offset], [1, 2, 3])
    assert.deepEqual([second.epoch, third.epoch], [first.epoch, first.epoch])
    const { epoch, offset } = third
    const parsed = parsePosition(formatPosition('u', third))
    assert.deepEqual(parsed, { label: 'u', position: { epoch, offset } }, 'clients send the epoch back, so it must be valid in a position')
  }),

  obligation('publications of one turn are stored in the order of the calls', async start => {
    const node = await start()
    const channel = unique('user:a')
    const follower = await node.follow(channel)
    const bodies = range(1, 50).map(bodyOf)
    const positions = await node.publishAll(channel, bodies)
    assert.deepEqual(positions.map(({ offset }) => offset), range(1, 50))
    assert.deepEqual(bodiesIn(await follower.upTo(50)), bodies)
  }),

  obligation('a channel with a retention of its own recovers as many publications as that allows', async start => {
    const node = await start()
    const channel = unique('user:a')
    const retention = { size: 3 }
    const positions: Position[] = []
    for (const n of range(1, 10)) {
      const publication = { type: 'n', n }
      positions.push(await node.publish(channel, JSON.stringify(publication), retention, publication))
    }
    const log = await node.subscribe(channel, retention)
    assert.deepEqual(positions.map(position => log.canRecover(position)), range(1, 10).map(n => n >= 7))
  }),

  obligation('a subscriber gets the retained publications, then the new ones', async start => {
    const node = await start()
    const channel = unique('chat:a/b/c/d')
    await node.publishAll(channel, ['{"n":1}', '{"n":2}'])
    const follower = await node.follow(channel)
    assert.deepEqual(bodiesIn(await follower.upTo(2)), ['{"n":1}', '{"n":2}'])
    await node.publish(channel, '{"n":3}')
    assert.deepEqual(bodiesIn(await follower.upTo(3)), ['{"n":1}', '{"n":2}', '{"n":3}'])
  }),

  obligation('a subscriber that comes in the middle of a burst misses nothing', async start => {
    const node = await start()
    const channel = unique('user:a')
    const [, follower] = await Promise.all([
      node.publishAll(channel, range(1, 40).map(bodyOf)),
      node.follow(channel),
      node.publishAll(channel, range(41, 80).map(bodyOf))
    ])
    const received = bodiesIn(await follower.upTo(80))
    assert.deepEqual(received, range(follower.start + 1, 80).map(bodyOf))
    assert.ok(received.length >= Math.min(80, follower.log.limits.size), `${received.length} of 80 publications were retained`)
  }),

  obligation('all subscribers of a channel get the publications in the order of their positions', async start => {
    const node = await start()
    const channel = unique('broadcast')
    const followers = [await node.follow(channel), await node.follow(channel, { isLazy: true })]
    const senders = ['a', 'b', 'c', 'd'].map(async sender => {
      const sent: Publication[] = []
      for (const n of range(1, 10)) {
        const body = JSON.stringify({ sender, n })
        const { epoch, offset } = await node.publish(channel, body)
        sent.push({ channel, epoch, offset, body })
      }
      return sent
    })
    const sent = (await Promise.all(senders)).flat().sort((a, b) => a.offset - b.offset)
    for (const follower of followers) assert.deepEqual(await follower.upTo(40), sent)
  }),

  obligation('channels do not mix', async start => {
    const node = await start()
    const suffix = unique('')
    const names = [
      'user:a', 'user:A', 'user:a:b', 'user:a|b', 'user:a.b', 'user:a~b', 'user:*', 'user:?', 'user:[a]', 'user:{a}', 'broadcast', 'user:broadcast',
      'chat:a:b/c/d/e', 'chat:a/b:c/d/e', 'chat:a/b/c:d/e', 'chat:a/b/c/d:e', 'chat:a/b/c/d', 'chat:a/b/c/d/', 'user:a/b'
    ].map(name => name + suffix)
    const followers = await Promise.all(names.map(name => node.follow(name)))
    const positions = await Promise.all(names.map(name => node.publish(name, JSON.stringify({ name }))))
    for (const [at, channel] of names.entries()) {
      assert.equal(positions[at].offset, 1, channel)
      await followers[at].upTo(1)
    }
    // A publication in the wrong channel would have arrived by now.
    await Promise.all(names.map(name => node.publish(name, JSON.stringify({ name, again: true }))))
    for (const [at, name] of names.entries()) {
      assert.deepEqual(bodiesIn(await followers[at].upTo(2)), [JSON.stringify({ name }), JSON.stringify({ name, again: true })])
    }
  }),

  obligation('500 channels at once get all their publications', async start => {
    const node = await start()
    const channels = range(1, 500).map(n => unique(`user:${n}`))
    const followers = await Promise.all(channels.map(channel => node.follow(channel, { isLazy: true })))
    const bodies = range(1, 4).map(bodyOf)
    await Promise.all(channels.map(channel => node.publishAll(channel, bodies)))
    for (const follower of followers) assert.deepEqual(bodiesIn(await follower.upTo(4)), bodies)
  }),

  obligation('the log of a channel gets each publication once, unchanged', async start => {
    const node = await start()
    const channels = [unique('user:a'), unique('chat:a/b/c/d')]
    const followers = await Promise.all(channels.map(channel => node.follow(channel)))
    const again = await Promise.all(channels.map(channel => node.follow(channel)))
    for (const [at, channel] of channels.entries()) {
      const bodies = [`{ "text": "as it is ${at}" }`, '{}']
      const positions = await node.publishAll(channel, bodies)
      await Promise.all([followers[at].upTo(2), again[at].upTo(2)])
      const framed = node.framed.filter(publication => publication.channel === channel).sort((a, b) => a.offset - b.offset)
      assert.deepEqual(framed, positions.map(({ epoch, offset }, n) => ({ channel, epoch, offset, body: bodies[n] })))
    }
    assert.equal(node.framed.length, 4)
  }),

  obligation('large bodies, and bodies with any characters, arrive unchanged', async start => {
    const node = await start()
    const channel = unique('user:a')
    const follower = await node.follow(channel, { isLazy: true })
    const texts = ['Grüße', '漢字', '👋🏽', '\u2028\u2029', '\0\x7f\r\n\t"\\', '\ufeff', 'x'.repeat(1024 * 1024), '👋'.repeat(100_000), 'ü'.repeat(5_000), '']
    const bodies = texts.map(text => JSON.stringify({ type: 't', data: { text } }))
    await node.publishAll(channel, bodies)
    const received = bodiesIn(await follower.upTo(bodies.length))
    // Not deepEqual, which would print the difference of two megabytes.
    for (const [at, body] of bodies.entries()) assert.ok(received[at] === body, `the body with ${texts[at].slice(0, 10)}`)
  }),

  obligation('as many publications as the history holds can be recovered, and no more', async start => {
    const node = await start()
    const channel = unique('user:a')
    const { size } = (await node.subscribe(channel)).limits
    const head = size + 5
    const positions = await node.publishAll(channel, range(1, head).map(bodyOf))
    const follower = await node.follow(channel)
    await follower.upTo(head)
    const { epoch } = positions[0]
    assert.equal(follower.received.length, size)
    assert.equal(follower.log.canRecover({ epoch, offset: head - size }), true, 'the oldest position of the history')
    assert.equal(follower.log.canRecover({ epoch, offset: head - size - 1 }), false, 'the position before it')
    assert.equal(follower.log.canRecover({ epoch, offset: head }), true, 'nothing was missed')
    assert.equal(follower.log.canRecover({ epoch, offset: head + 1 }), false, 'not published yet')
    assert.equal(follower.log.canRecover({ epoch: `${epoch}0`, offset: head }), false, 'another epoch')
  }),

  obligation('a log serves its remaining readers when one of them is removed', async start => {
    const node = await start()
    const channel = unique('user:a')
    const left = await node.follow(channel)
    const stays = await node.follow(channel)
    const { epoch } = await node.publish(channel, bodyOf(1))
    await Promise.all([left.upTo(1), stays.upTo(1)])
    left.log.remove(left)
    const { wakes } = left
    assert.deepEqual(await node.publish(channel, bodyOf(2)).then(({ epoch, offset }) => ({ epoch, offset })), { epoch, offset: 2 })
    assert.deepEqual(bodiesIn(await stays.upTo(2)), [bodyOf(1), bodyOf(2)])
    assert.equal(left.wakes, wakes, 'a removed reader is not woken')
    const back = await node.follow(channel)
    assert.equal(back.log.epoch, epoch)
    assert.deepEqual(bodiesIn(await back.upTo(2)), [bodyOf(1), bodyOf(2)])
  }),

  obligation('the next broker continues a channel, or starts it under another epoch', async start => {
    const channel = unique('user:a')
    const first = await start()
    const [before] = (await first.publishAll(channel, [bodyOf(1), bodyOf(2)])).slice(-1)
    await first.close()
    const second = await start()
    const after = await second.publish(channel, bodyOf(3))
    assert.equal(after.offset, after.epoch === before.epoch ? 3 : 1)
    const follower = await second.follow(channel)
    const received = bodiesIn(await follower.upTo(after.offset))
    assert.deepEqual(received, after.epoch === before.epoch ? [bodyOf(1), bodyOf(2), bodyOf(3)] : [bodyOf(3)])
    assert.equal(follower.log.canRecover(before), after.epoch === before.epoch)
  }),

  obligation('no two publications get the same position, even from several brokers at once', async start => {
    const channel = unique('broadcast')
    const nodes = [await start(), await start()]
    const followers = [await nodes[0].follow(channel), await nodes[1].follow(channel)]
    const sent = (await Promise.all(nodes.map(async (node, at) => {
      const bodies = range(1, 20).map(n => JSON.stringify({ at, n }))
      const positions = await node.publishAll(channel, bodies)
      return positions.map(({ epoch, offset }, n) => ({ channel, epoch, offset, body: bodies[n] }))
    }))).flat()
    assert.equal(new Set(sent.map(position => formatPosition('b', position))).size, 40)
    for (const follower of followers) {
      const expected = sent.filter(({ epoch }) => epoch === follower.epoch).sort((a, b) => a.offset - b.offset)
      assert.deepEqual(await follower.upTo(expected.length), expected)
    }
  }),

  obligation('stats count the channels, publications and bytes that a broker holds', async start => {
    const node = await start()
    const channel = unique('user:a')
    const before = node.broker.stats()
    const follower = await node.follow(channel)
    await node.publishAll(channel, range(1, 3).map(bodyOf))
    await follower.upTo(3)
    const after = node.broker.stats()
    const bytes = follower.received.reduce((sum, { body }) => sum + body.length, 0)
    assert.equal(after.channels, before.channels + 1)
    assert.equal(after.publications, before.publications + 3)
    assert.ok(after.bytes >= before.bytes + bytes, `${after.bytes} after ${before.bytes} bytes, with ${bytes} more published`)
  }),

  obligation('a broker serves one app: it is opened once, and not after close', async (start, make) => {
    const node = await start()
    const channel = unique('user:a')
    const follower = await node.follow(channel)
    await assert.rejects(open(node), isFailure, 'opened again')
    await node.publish(channel, bodyOf(1))
    assert.deepEqual(bodiesIn(await follower.upTo(1)), [bodyOf(1)], 'the app that opened it first is not disturbed')
    await node.close()
    await within(patience, Promise.resolve(node.broker.close()), complaint(() => 'close neither resolved nor rejected when called again'))
    await assert.rejects(open(node), isFailure, 'opened after close')
    const unopened = await make()
    await unopened.close()
    await assert.rejects(open(unopened), isFailure, 'opened after it was closed unopened')
  }),

  obligation('after close a broker holds nothing, and publish and subscribe fail', async start => {
    const node = await start()
    const channel = unique('user:a')
    const follower = await node.follow(channel)
    await node.publish(channel, bodyOf(1))
    await follower.upTo(1)
    // It may be stored or not, but it must settle.
    const underWay = Promise.allSettled([node.publish(channel, bodyOf(2))])
    await node.close()
    const [outcome] = await underWay
    assert.ok(outcome.status === 'fulfilled' || isFailure(outcome.reason), 'a publish in progress settles')
    await assert.rejects(node.publish(channel, bodyOf(3)), isFailure)
    await assert.rejects(node.subscribe(channel), isFailure)
    await assert.rejects(node.subscribe(unique('user:b')), isFailure)
    assert.deepEqual({ ...node.broker.stats() }, { channels: 0, publications: 0, bytes: 0 })
  })
]

/** Settles as `open` of the broker does. */
async function open (node: Node): Promise<unknown> {
  return within(patience, node.open(), complaint(() => 'open neither resolved nor rejected'))
}

/** Whether a call was rejected by the broker, rather than by a timeout here. */
function isFailure (error: unknown): boolean {
  return error instanceof Error && !(error instanceof assert.AssertionError)
}

/** Returns a name that no other run uses, because brokers may keep the channels of earlier runs. */
function unique (name: string): string {
  return `${name}~${randomUUID()}`
}

function bodyOf (n: number): string {
  return JSON.stringify({ type: 't', data: { n } })
}

function bodiesIn (publications: Publication[]): string[] {
  return publications.map(({ body }) => body)
}

function publicationsIn (frame: Frame): Publication[] {
  const text = typeof frame === 'string' ? Buffer.from(frame, 'latin1').toString() : frame.toString()
  return text.trimEnd().split('\n').map(line => JSON.parse(line))
}

function range (from: number, to: number): number[] {
  return Array.from({ length: Math.max(0, to - from + 1) }, (_, at) => from + at)
}

/** Options of `within`: a timeout is an AssertionError. */
function complaint (text: () => string): { late: () => Error } {
  return { late: () => new assert.AssertionError({ message: `${text()} within ${patience} ms` }) }
}

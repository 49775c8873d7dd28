import t, { type Test } from 'tap'
import { AppLog } from '../../../lib/channels/log.js'
import { removalOf } from '../../../lib/channels/removal.js'
import { MemoryBroker } from '../../../lib/brokers/memory.js'
import type { Broker } from '../../../lib/brokers/broker.js'
import type { Identity } from '../../../lib/index.js'
import type { Connection } from '../../../lib/server/connection/connection.js'
import { Subscription } from '../../../lib/server/delivery/subscription.js'
import { Kinds, type ChannelKind, type KindPresence, type SubscriptionAccess } from '../../../lib/server/kinds.js'
import type { Refusals } from '../../../lib/server/reports/refusals.js'
import { Subscribing } from '../../../lib/server/subscribing/subscribing.js'
import { LoopClock } from '../../../lib/time/loop-clock.js'
import { Timers } from '../../../lib/time/timers.js'
import { gate, loopTurns } from '../../waiting.js'

interface Given {
  decide?: (identity: Identity, channel: string) => boolean | 'hidden' | Promise<boolean>
  isJoint?: boolean
  /** Maximum channels of a connection, and of a user. */
  most?: [ofConnection: number, ofUser: number]
  subscribe?: (channel: string, original: Broker['subscribe']) => ReturnType<Broker['subscribe']>
}

/** Notes who enters and leaves the presence of channels. */
function presenceOf (moves: string[]): KindPresence {
  return {
    enter: (_attendee, channel, isHidden) => { moves.push(`enter ${channel}${isHidden === true ? ' hidden' : ''}`) },
    leave: (_attendee, channel, isClean) => { moves.push(`leave ${channel}${isClean ? ' for good' : ''}`) },
    closed () {},
    update () {}
  }
}

/** Subscribing to channels of the kind `k` and to the channel `p:path`, which is that of each connection. */
function setup (t: Test, { decide = () => true, isJoint = false, most: [mostOfConnection, most] = [10, 20], subscribe }: Given = {}) {
  const timers = new Timers()
  const clock = new LoopClock()
  // The timers do not keep the process running.
  const running = setInterval(() => {}, 1_000)
  t.teardown(() => {
    clearInterval(running)
    clock.close()
    timers.close()
    broker.close()
  })
  const asked: string[] = []
  const access: SubscriptionAccess = {
    isValid: id => /^\w+$/.test(id),
    isJoint,
    decide: async (identity, channels) => {
      asked.push(channels.join())
      return Promise.all(channels.map(channel => decide(identity, channel)))
    }
  }
  const kindOf = (name: string, parts: Partial<ChannelKind> = {}): ChannelKind => ({
    name, label: 'k', start: 'now', createLog: (epoch, limits, frameOf) => new AppLog(epoch, limits, frameOf), ...parts
  })
  const moves: string[] = []
  const kinds = new Kinds([kindOf('k', { access, presence: presenceOf(moves) }), kindOf('p')])
  const broker = new MemoryBroker({ size: 3, ttl: 60_000, bytes: 1_000_000, lag: 1_000 })
  broker.open((channel, epoch, limits) => kinds.of(channel).createLog!(epoch, limits, (_position, body) => body))
  const original = broker.subscribe.bind(broker)
  if (subscribe !== undefined) broker.subscribe = (channel => subscribe(channel, original)) as typeof broker.subscribe
  const subscribing = new Subscribing({
    kinds, broker, timers, clock, timeout: 5_000, logTimeout: 50, most, mostOfConnection, refusals: { add () {} } as unknown as Refusals
  })
  /** A connection, and what it sends. */
  const connect = (userId = 'ada') => new FakeConnection(userId, subscribing)
  return {
    asked,
    /** Who entered and left the presence of channels. */
    moves,
    subscribing,
    connect,
    subscribe: (connection: FakeConnection, channel: string, since?: string) =>
      subscribing.subscribe(connection as unknown as Connection, channel, since),
    unsubscribe: (connection: FakeConnection, channel: string) => subscribing.unsubscribe(connection as unknown as Connection, channel),
    review: (connection: FakeConnection) => subscribing.review(connection as unknown as Connection),
    publish: (channel: string, ...bodies: string[]) => { for (const body of bodies) broker.publish(channel, body) },
    logOf: (channel: string) => original(channel) as AppLog
  }
}

interface ControlParts {
  channel: string
  data: { reason?: string, position: string, recovered?: boolean, replayed: number }
}

class FakeConnection {
  identity: Identity
  readonly userId: string
  readonly client = {}
  readonly isDeflated = false
  isEnding = false
  subscriptions: Subscription[] = []
  /** Frames, as text: the type, the channel, and the reason or the number of publications that follow. */
  readonly sent: string[] = []
  /** Positions in frames. */
  readonly positions: string[] = []
  charged = 0
  onControl = () => {}
  readonly #subscribing: Subscribing

  constructor (userId: string, subscribing: Subscribing) {
    this.userId = userId
    this.identity = { userId }
    this.#subscribing = subscribing
  }

  isOfPath (channel: string) {
    return channel === 'p:path'
  }

  find (channel: string) {
    return this.subscriptions.find(subscription => subscription.channel === channel)
  }

  subscribe (subscription: Subscription) {
    this.subscriptions.push(subscription)
  }

  unsubscribe (subscription: Subscription) {
    subscription.end()
    this.subscriptions = this.subscriptions.filter(other => other !== subscription)
  }

  control (type: string, { channel, data: { reason, position, recovered, replayed } }: ControlParts) {
    this.sent.push(`${type} ${channel} ${reason ?? `${replayed}${recovered === undefined ? '' : ` recovered: ${recovered}`}`}`)
    if (position !== undefined) this.positions.push(position)
    this.onControl()
  }

  charge (bytes: number) {
    this.charged += bytes
  }

  end () {
    this.isEnding = true
    for (const subscription of this.subscriptions) subscription.end()
    this.subscriptions = []
    this.#subscribing.closed(this as unknown as Connection)
  }

  noteAddress () {}
  wake () {}
  flush () { return false }

  onRemoved ({ channel }: Subscription) {
    this.#subscribing.end(this as unknown as Connection, channel, 'removed')
  }

  onDoubt ({ channel }: Subscription) {
    this.#subscribing.end(this as unknown as Connection, channel, 'unavailable')
  }

  /** Everything that it has not read, of a channel. */
  read (channel: string): string {
    const subscription = this.find(channel)!
    let text = ''
    while (subscription.isBehind) text += subscription.read(1_000, false).toString()
    return text
  }

  take (): string[] {
    return this.sent.splice(0)
  }
}

t.test('a connection that subscribes reads the publications of the channel from then on, or after its since', async t => {
  const { connect, subscribe, publish } = setup(t)
  publish('k:a', '1', '2', '3')
  const [now, since, lost] = [connect(), connect(), connect()]
  await subscribe(now, 'k:a')
  const [position] = now.positions
  t.match(position, /^k\.\w+\.3$/)
  await subscribe(since, 'k:a', position.replace(/3$/, '1'))
  await subscribe(lost, 'k:a', 'k.other.1')
  publish('k:a', '4')
  t.strictSame([now, since, lost].map(each => each.take()), [['subscribed k:a 0'], ['subscribed k:a 2 recovered: true'], ['subscribed k:a 0 recovered: false']])
  t.strictSame([now, since, lost].map(each => each.read('k:a')), ['4', '234', '4'])
  t.strictSame([now.charged, since.charged > 0], [0, true], 'what is replayed is charged')
})

t.test('a connection that may not subscribe gets the reason', async t => {
  const { connect, subscribe, asked, logOf } = setup(t, {
    decide: (_identity, channel) => {
      if (channel === 'k:throws') throw new Error('of the app')
      return channel !== 'k:no'
    },
    subscribe (channel, original) {
      if (channel === 'k:away') throw new Error('the broker is away')
      if (channel === 'k:rejected') return Promise.reject(new Error('the broker is away'))
      return channel === 'k:hangs' ? new Promise(() => {}) : original(channel)
    }
  })
  const connection = connect()
  const reasons: Record<string, string> = {
    'x:a': 'unknown_channel',
    x: 'unknown_channel',
    k: 'invalid_channel',
    'k:': 'invalid_channel',
    'k:a b': 'invalid_channel',
    'p:other': 'forbidden',
    p: 'forbidden',
    'k:no': 'forbidden',
    'k:throws': 'unavailable',
    'k:away': 'unavailable',
    'k:rejected': 'unavailable',
    'k:hangs': 'unavailable'
  }
  for (const [channel, reason] of Object.entries(reasons)) {
    await subscribe(connection, channel)
    t.strictSame(connection.take(), [`unsubscribed ${channel} ${reason}`])
  }
  t.strictSame(asked, ['k:no', 'k:throws'], 'the app is asked only about channels that exist')
  t.strictSame(['k:no', 'k:throws'].map(channel => logOf(channel).readers.length), [0, 0])
  t.strictSame(connection.subscriptions, [])
})

t.test('a channel of the path needs no decision and no place', async t => {
  const { connect, subscribe, unsubscribe, asked } = setup(t, { decide: (_identity, channel) => channel !== 'p:path', most: [1, 1] })
  const connection = connect()
  await subscribe(connection, 'k:a')
  for (let times = 0; times < 3; times++) {
    await subscribe(connection, 'p:path')
    unsubscribe(connection, 'p:path')
  }
  await subscribe(connection, 'p:path')
  t.strictSame(connection.sent.slice(-2), ['unsubscribed p:path asked', 'subscribed p:path 0'])
  t.strictSame(asked, ['k:a'])
  await subscribe(connection, 'k:b')
  t.strictSame(connection.sent.at(-1), 'unsubscribed k:b too_many_channels', 'the end of a channel of the path gives no place back')
})

t.test('a connection and a user have at most as many channels as the limits allow, and each one that ends gives its place back', async t => {
  const { connect, subscribe, unsubscribe, publish } = setup(t, { most: [2, 3], decide: (_identity, channel) => channel !== 'k:no' })
  const [first, second, other] = [connect(), connect(), connect('bob')]
  for (const channel of ['k:no', 'k:a', 'k:b', 'k:c']) await subscribe(first, channel)
  t.strictSame(first.take(), ['unsubscribed k:no forbidden', 'subscribed k:a 0', 'subscribed k:b 0', 'unsubscribed k:c too_many_channels'])
  for (const channel of ['k:a', 'k:b']) await subscribe(second, channel)
  t.strictSame(second.take(), ['subscribed k:a 0', 'unsubscribed k:b too_many_channels'])
  await subscribe(other, 'k:a')
  t.strictSame(other.take(), ['subscribed k:a 0'], 'another user has places of their own')
  unsubscribe(first, 'k:a')
  unsubscribe(first, 'k:a')
  unsubscribe(first, 'k:never')
  for (const channel of ['k:b', 'k:c']) await subscribe(second, channel)
  t.strictSame(second.take(), ['subscribed k:b 0', 'unsubscribed k:c too_many_channels'], 'one place, although it was asked three times')
  publish('k:b', removalOf('ada'))
  for (const channel of ['k:b', 'k:c']) await subscribe(first, channel)
  t.strictSame(first.sent.slice(-2), ['subscribed k:b 0', 'subscribed k:c 0'])
  first.end()
  for (const channel of ['k:b', 'k:c']) await subscribe(second, channel)
  t.strictSame(second.sent.slice(-2), ['subscribed k:b 0', 'unsubscribed k:c too_many_channels'], 'a connection has at most two')
  const third = connect()
  for (const channel of ['k:a', 'k:b']) await subscribe(third, channel)
  t.strictSame(third.take(), ['subscribed k:a 0', 'unsubscribed k:b too_many_channels'])
})

t.test('a connection that ends while the app decides gets no frame, reads nothing and keeps no place', async t => {
  const { opened, open } = gate()
  const { connect, subscribe, logOf } = setup(t, { most: [1, 1], decide: async (_identity, channel) => { if (channel === 'k:a') await opened; return true } })
  const ended = connect()
  const done = subscribe(ended, 'k:a')
  await loopTurns()
  t.equal(logOf('k:a').readers.length, 1, 'the log is watched meanwhile')
  ended.end()
  const next = connect()
  await subscribe(next, 'k:b')
  t.strictSame(next.take(), ['subscribed k:b 0'])
  open()
  await done
  t.strictSame([ended.sent, ended.subscriptions, logOf('k:a').readers.length], [[], [], 0])
  next.end()
  const last = connect()
  await subscribe(last, 'k:b')
  t.strictSame(last.take(), ['subscribed k:b 0'], 'the place was given back once')
  await subscribe(ended, 'k:c')
  t.strictSame(ended.sent, [])
})

t.test('a connection that ends while a log cannot be had gives its place back once', async t => {
  const { opened, open } = gate()
  const isAway = () => opened.then(() => { throw new Error('away') })
  const { connect, subscribe } = setup(t, { most: [1, 1], subscribe: (channel, original) => channel === 'k:a' ? isAway() : original(channel) })
  const ended = connect()
  const done = subscribe(ended, 'k:a')
  ended.end()
  open()
  await done
  const [first, second] = [connect(), connect()]
  for (const connection of [first, second]) await subscribe(connection, 'k:b')
  t.strictSame([first.sent, second.sent], [['subscribed k:b 0'], ['unsubscribed k:b too_many_channels']])
})

t.test('a connection that ends because of the frame subscribed reads nothing, and is not present', async t => {
  const { connect, subscribe, logOf, moves } = setup(t)
  const connection = connect()
  connection.onControl = () => connection.end()
  await subscribe(connection, 'k:a')
  t.equal(logOf('k:a').readers.length, 0)
  t.strictSame(moves, [])
})

t.test('a user who is removed while the app decides gets removed, even if the decision is true', async t => {
  for (const verdict of [true, false]) {
    const { opened, open } = gate<boolean>()
    const { connect, subscribe, publish, logOf } = setup(t, { decide: () => opened })
    const [ada, bob] = [connect(), connect('bob')]
    const done = [subscribe(ada, 'k:a'), subscribe(bob, 'k:a')]
    await loopTurns()
    publish('k:a', removalOf('ada'), 'secret')
    open(verdict)
    await Promise.all(done)
    t.strictSame(ada.take(), ['unsubscribed k:a removed'])
    t.strictSame(bob.take(), [verdict ? 'subscribed k:a 0' : 'unsubscribed k:a forbidden'])
    t.equal(logOf('k:a').readers.length, verdict ? 1 : 0)
  }
})

t.test('a log that starts again while the app decides makes the channel unavailable, unless the user was removed before', async t => {
  const { opened, open } = gate<boolean>()
  const { connect, subscribe, publish, logOf } = setup(t, { decide: () => opened })
  const [ada, bob] = [connect(), connect('bob')]
  const done = [subscribe(ada, 'k:a'), subscribe(bob, 'k:a')]
  await loopTurns()
  publish('k:a', removalOf('ada'))
  logOf('k:a').reset('other')
  open(true)
  await Promise.all(done)
  t.strictSame([ada.take(), bob.take()], [['unsubscribed k:a removed'], ['unsubscribed k:a unavailable']])
})

t.test('an identity that is renewed while the app decides is decided about again', async t => {
  const { opened, open } = gate()
  const { connect, subscribe, asked } = setup(t, {
    decide: async identity => {
      await opened
      return (identity as { level?: number }).level === 2
    }
  })
  const [up, down] = [connect(), connect()]
  down.identity = { userId: 'ada', level: 2 } as Identity
  const done = [subscribe(up, 'k:a'), subscribe(down, 'k:b')]
  await loopTurns()
  up.identity = { userId: 'ada', level: 2 } as Identity
  down.identity = { userId: 'ada', level: 1 } as Identity
  open()
  await Promise.all(done)
  t.strictSame([up.take(), down.take()], [['subscribed k:a 0'], ['unsubscribed k:b forbidden']])
  t.strictSame(asked, ['k:a', 'k:b', 'k:a', 'k:b'])
})

t.test('a subscribe to a channel that is read goes on where the connection is, and nothing comes twice', async t => {
  const { connect, subscribe, publish, logOf } = setup(t)
  publish('k:a', '1', '2')
  const connection = connect()
  await subscribe(connection, 'k:a')
  const at = (offset: number) => connection.positions[0].replace(/\d+$/, String(offset))
  publish('k:a', '3', '4')
  t.equal(connection.read('k:a'), '34')
  connection.take()
  await subscribe(connection, 'k:a')
  await subscribe(connection, 'k:a', at(4))
  await subscribe(connection, 'k:a', at(3))
  await subscribe(connection, 'k:a', at(2))
  t.strictSame(connection.take(), ['subscribed k:a 0', ...Array(3).fill('subscribed k:a 0 recovered: true')])
  t.strictSame(connection.positions.slice(1), Array(4).fill(at(4)), 'also at a since where the subscription began')
  publish('k:a', '5', '6')
  await subscribe(connection, 'k:a', at(5))
  t.strictSame(connection.take(), ['subscribed k:a 1 recovered: true'], 'it begins after a since that is later')
  t.equal(connection.positions.at(-1), at(5))
  t.equal(connection.read('k:a'), '6')
  t.strictSame([connection.subscriptions.map(({ channel }) => channel), logOf('k:a').readers.length], [['k:a'], 1])
})

t.test('a subscribe to a channel that is read begins again at a since from before, or at the head if that is lost', async t => {
  const { connect, subscribe, publish, logOf } = setup(t, { most: [1, 1] })
  publish('k:a', '1', '2')
  const connection = connect()
  await subscribe(connection, 'k:a')
  const at = (offset: number) => connection.positions[0].replace(/\d+$/, String(offset))
  publish('k:a', '3')
  connection.read('k:a')
  connection.take()
  await subscribe(connection, 'k:a', at(1))
  t.strictSame([connection.take(), connection.read('k:a')], [['subscribed k:a 2 recovered: true'], '23'])
  await subscribe(connection, 'k:a', 'k.other.5')
  t.strictSame([connection.take(), connection.positions.at(-1)], [['subscribed k:a 0 recovered: false'], at(3)])
  t.equal(logOf('k:a').readers.length, 1)
})

t.test('a review ends the subscriptions that are not allowed any more, and asks about those of frames only', async t => {
  const verdicts: Record<string, () => boolean> = { 'k:yes': () => true, 'k:no': () => true, 'k:throws': () => true }
  for (const isJoint of [false, true]) {
    const { connect, subscribe, review, asked } = setup(t, { isJoint, decide: (_identity, channel) => verdicts[channel]() })
    const connection = connect()
    await Promise.all(['p:path', 'k:yes', 'k:no'].map(channel => subscribe(connection, channel)))
    connection.take()
    asked.length = 0
    verdicts['k:no'] = () => false
    await review(connection)
    verdicts['k:no'] = () => true
    t.strictSame([connection.take(), asked.join()], [['unsubscribed k:no forbidden'], 'k:yes,k:no'])
    t.equal(asked.length, isJoint ? 1 : 2)
  }
  const { connect, subscribe, review } = setup(t, { decide: (_identity, channel) => verdicts[channel]() })
  const connection = connect()
  for (const channel of ['k:throws', 'k:yes']) await subscribe(connection, channel)
  connection.take()
  verdicts['k:throws'] = () => { throw new Error('of the app') }
  await review(connection)
  t.strictSame(connection.take(), ['unsubscribed k:throws unavailable'])
  t.strictSame(connection.subscriptions.map(({ channel }) => channel), ['k:yes'])
})

t.test('a review of an identity that is renewed again ends nothing, and one of a connection without channels asks nothing', async t => {
  const { opened, open } = gate<boolean>()
  let isReview = false
  const { connect, subscribe, review, asked } = setup(t, { decide: () => isReview ? opened : true })
  const connection = connect()
  await review(connection)
  t.strictSame(asked, [])
  await subscribe(connection, 'k:a')
  connection.take()
  isReview = true
  const done = review(connection)
  connection.identity = { userId: 'ada' }
  open(false)
  await done
  t.strictSame(connection.take(), [])
})

t.test('a review says and does nothing about a channel that the client has left meanwhile', async t => {
  const { opened, open } = gate<boolean>()
  let isReview = false
  const { connect, subscribe, unsubscribe, review, moves } = setup(t, { decide: () => isReview ? opened : true })
  for (const verdict of [true, false]) {
    const connection = connect()
    await subscribe(connection, 'k:a')
    isReview = true
    const done = review(connection)
    unsubscribe(connection, 'k:a')
    open(verdict)
    await done
    isReview = false
    t.strictSame(connection.take(), ['subscribed k:a 0', 'unsubscribed k:a asked'])
    t.strictSame(moves.splice(0), ['enter k:a', 'leave k:a for good'])
  }
})

t.test('a connection that unsubscribes, or loses its permission, leaves the presence at once, and one that may come back keeps its place', async t => {
  const { connect, subscribe, subscribing, moves } = setup(t)
  for (const [reason, isClean] of [['asked', true], ['removed', true], ['forbidden', true], ['unavailable', false], ['failed', false]] as const) {
    const connection = connect()
    await subscribe(connection, 'k:a')
    subscribing.end(connection as unknown as Connection, 'k:a', reason)
    t.strictSame(moves.splice(0), ['enter k:a', `leave k:a${isClean ? ' for good' : ''}`], reason)
  }
})

t.test('a connection is listed in the presence unless its user is hidden, also after a renewal', async t => {
  let hidden = 'k:b'
  const { connect, subscribe, review, moves } = setup(t, { decide: (_identity, channel) => channel === hidden ? 'hidden' : true })
  const connection = connect()
  for (const channel of ['k:a', 'k:b']) await subscribe(connection, channel)
  t.strictSame(moves.splice(0), ['enter k:a', 'enter k:b hidden'])
  hidden = 'k:a'
  await review(connection)
  t.strictSame(moves, ['enter k:a hidden', 'enter k:b'])
})

t.test('the channels of a frame are decided about together, also if the log of one of them cannot be had', async t => {
  const { connect, subscribe, asked } = setup(t, {
    isJoint: true,
    subscribe: async (channel, original) => {
      if (channel === 'k:b') throw new Error('the broker is away')
      return original(channel)
    }
  })
  const connection = connect()
  await Promise.all(['k:a', 'k:b', 'k:c'].map(channel => subscribe(connection, channel)))
  t.strictSame(asked, ['k:a,k:c'])
  t.strictSame(connection.take().sort(), ['subscribed k:a 0', 'subscribed k:c 0', 'unsubscribed k:b unavailable'])
})

t.test('at most 400 subscriptions are undecided at once, half of them of one user, and one that ends makes room for another', async t => {
  const { connect, subscribing } = setup(t)
  const ended = gate()
  const begun: Record<string, number> = { ada: 0, bob: 0 }
  const begin = (userId: string, times: number, opened: Promise<void>) => {
    const connection = connect(userId) as unknown as Connection
    for (let n = 0; n < times; n++) {
      subscribing.whenDue(connection, () => {
        begun[userId]++
        return opened
      })
    }
  }
  begin('ada', 150, ended.opened)
  begin('ada', 50, new Promise(() => {}))
  await loopTurns()
  t.strictSame(begun, { ada: 200, bob: 0 })
  begin('bob', 150, new Promise(() => {}))
  await loopTurns()
  t.strictSame(begun, { ada: 200, bob: 100 }, 'no user has more than are still free')
  ended.open()
  await loopTurns()
  t.strictSame(begun, { ada: 200, bob: 150 })
})

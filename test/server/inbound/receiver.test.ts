import t, { type Test } from 'tap'
import { Answers } from '../../../lib/server/inbound/answers.js'
import { Catalogue } from '../../../lib/server/messages/catalogue.js'
import { Handlers } from '../../../lib/server/inbound/handlers.js'
import { UserRates, type UserLimits } from '../../../lib/server/inbound/user-rate.js'
import type { MessageRow } from '../../../lib/server/inbound/message-row.js'
import { Receiver, type ReceiverContext, type ReceiverOwner } from '../../../lib/server/inbound/receiver.js'
import { Timers } from '../../../lib/time/timers.js'
import { movedClock } from '../../clock.js'
import { kinds } from '../../kinds.js'
import { logSink } from '../../log-sink.js'
import { eventually, gate, loopTurns } from '../../waiting.js'

const limits = { frame: 65_536, rate: 1_000, burst: 1_000, nodes: 1_000, queue: 2, strikes: 10, handlerTimeout: 60_000 }

/** Connections of one user, with a burst of ten messages of the user. */
function setup (t: Test, rows: Record<string, MessageRow>, user: Partial<UserLimits> = {}, own: Partial<typeof limits> = {}) {
  const { clock, timers, pass } = movedClock(t)
  const handlerTimers = new Timers()
  t.teardown(() => handlerTimers.close())
  const userRates = new UserRates({ rate: 1, burst: 10, bytes: 1_000_000, ...user }, { clock, timers, onHold: () => {} })
  const context = {
    catalogue: new Catalogue({ messages: {}, strict: false, maxBytes: 65_536 }),
    answers: new Answers({ handlerTime: 60_000, cluster: undefined }),
    handlers: new Handlers(new Map(Object.entries(rows)), kinds),
    timers: handlerTimers,
    clock,
    log: logSink() as unknown as ReceiverContext['log'],
    inboundLimits: { ...limits, ...own },
    userRates
  }
  const connect = () => {
    const sent: string[] = []
    const socket = { isOpen: true, isRead: true }
    const owner = {
      id: 'c1',
      userId: 'u1',
      channel: 'user:u1',
      find: () => undefined,
      control: (type: string) => { sent.push(type) },
      expel: (reason: string) => { sent.push(reason) },
      onIdle: () => {},
      setReading (isReading: boolean) {
        if (socket.isOpen) socket.isRead = isReading
        return socket.isOpen
      }
    } as unknown as ReceiverOwner
    return { sent, socket, receiver: new Receiver(owner, context) }
  }
  return { userRates, connect, pass }
}

const frame = (type: string, ref?: number) => Buffer.from(JSON.stringify({ type, ref }))

t.test('a socket is not read while limits.queue messages wait, and is read again afterwards', async t => {
  const handled = gate()
  const { connect } = setup(t, { wait: { handle: () => handled.opened } })
  const { sent, socket, receiver } = connect()
  receiver.receive(frame('wait', 1))
  receiver.receive(frame('wait', 2))
  t.same([socket.isRead, receiver.isBusy, receiver.handling], [true, true, ['wait']])
  receiver.receive(frame('wait', 3))
  t.equal(socket.isRead, false)
  handled.open()
  await loopTurns(5)
  t.same([socket.isRead, receiver.isBusy, sent], [true, false, ['ack', 'ack', 'ack']])
})

t.test('reading stays paused until fewer than limits.queue messages wait, also if more were read before the pause', async t => {
  const gates = Array.from({ length: 4 }, () => gate())
  let handled = 0
  const { connect } = setup(t, { work: { handle: () => gates[handled++].opened } })
  const { socket, receiver } = connect()
  for (let n = 0; n < 4; n++) receiver.receive(frame('work', n))
  gates[0].open()
  await eventually(() => handled === 2)
  t.equal(socket.isRead, false, 'limits.queue messages wait')
  gates[1].open()
  await eventually(() => handled === 3)
  t.equal(socket.isRead, true)
})

t.test('urgent messages and messages in parts that are done do not count as waiting', async t => {
  let handled = 0
  const handle = () => { handled++ }
  const { connect } = setup(t, {
    now: { handle, isUrgent: () => true },
    both: { handle, split: message => ['a', 'b'].map(channel => ({ channel, message })) }
  }, { burst: 1_000 })
  const { socket, receiver } = connect()
  for (const type of ['now', 'both']) {
    for (let n = 0; n < 2 * limits.queue; n++) {
      receiver.receive(frame(type, n))
      await loopTurns()
    }
    t.strictSame([socket.isRead, receiver.isBusy, receiver.handling], [true, false, []], type)
  }
  t.equal(handled, 3 * 2 * limits.queue)
})

t.test('frames that were read during a hold of the user are not handled after a stop', async t => {
  const refs: unknown[] = []
  const { connect, pass } = setup(t, { count: { handle: ({ ref }) => { refs.push(ref) } } })
  const { sent, receiver } = connect()
  for (let n = 0; n < 12; n++) receiver.receive(frame('count', n))
  receiver.receive(frame('ping', 12))
  await loopTurns()
  t.equal(receiver.isHeld, true)
  receiver.stop()
  pass(60_000)
  await loopTurns()
  t.equal(receiver.isHeld, false)
  t.strictSame([refs.length, sent.includes('pong')], [11, false])
})

t.test('messages that were read before a hold of the user are handled after it in order, and sockets are not read meanwhile', async t => {
  const refs: unknown[] = []
  const { connect, pass } = setup(t, { count: { handle: ({ ref }) => { refs.push(ref) } } })
  const a = connect()
  const b = connect()
  for (let n = 0; n < 14; n++) a.receiver.receive(frame('count', n))
  await loopTurns(5)
  t.same(refs, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 'the burst of ten, and the message that exceeds it, are handled')
  t.same([a.socket.isRead, b.socket.isRead, a.receiver.isHeld], [false, false, true])
  const late = connect()
  t.same([late.receiver.isHeld, late.socket.isRead], [true, false], 'a connection that joins later is held, too')
  const free = late.receiver.whenFree()
  pass(1_000)
  await loopTurns(5)
  t.same(refs, Array.from({ length: 12 }, (_, n) => n), 'one more message is handled, then the user is held again')
  t.same([a.socket.isRead, b.socket.isRead], [false, false])
  pass(20_000)
  await free
  await loopTurns(5)
  t.same(refs, Array.from({ length: 14 }, (_, n) => n))
  t.same([a.socket.isRead, b.socket.isRead, late.socket.isRead], [true, true, true])
})

t.test('a connection that has ended handles no further message, and holds no bytes of its user', async t => {
  const refs: unknown[] = []
  const handled = gate()
  const { userRates, connect } = setup(t, { wait: { handle: ({ ref }) => { refs.push(ref); return handled.opened } } })
  const { sent, socket, receiver } = connect()
  receiver.receive(frame('wait', 1))
  receiver.receive(frame('wait', 2))
  t.equal(userRates.held.used, 2 * frame('wait', 1).length)
  socket.isOpen = false
  receiver.end()
  t.equal(userRates.held.used, frame('wait', 1).length, 'the waiting message is dropped, and the other one is still being handled')
  handled.open()
  await loopTurns(5)
  t.same([refs, sent, userRates.held.used], [[1], ['ack'], 0])
  t.equal(userRates.known('u1')?.isIdle, true)
})

t.test('messages that wait when their connection ends are not handled, although its end releases bytes of its user', async t => {
  const refs: unknown[] = []
  const handle: MessageRow['handle'] = ({ ref }) => { refs.push(ref); return new Promise(() => {}) }
  const { userRates, connect } = setup(t, { wait: { handle }, now: { handle, isUrgent: () => true } }, { burst: 100, bytes: 200 })
  const { receiver } = connect()
  for (let n = 0; n < 5; n++) receiver.receive(frame('wait', n))
  receiver.receive(frame('now', 5))
  t.same([receiver.isHeld, refs], [true, [0]])
  receiver.end()
  await loopTurns(5)
  t.same(refs, [0])
  t.equal(userRates.held.used, frame('wait', 0).length)
})

t.test('a connection is excused for the hold during which it opens, and not for an earlier hold', async t => {
  const { connect, pass } = setup(t, { count: { handle: () => {} } }, { burst: 1, rate: 1 }, { rate: 10, burst: 10 })
  pass(60_000)
  const other = connect()
  const { sent, socket, receiver } = connect()
  socket.isOpen = false
  other.receiver.receive(frame('count'))
  other.receiver.receive(frame('count'))
  t.equal(receiver.isHeld, true)
  pass(1_000)
  t.equal(receiver.isHeld, false)
  other.receiver.receive(frame('count'))
  t.equal(receiver.isHeld, true)
  socket.isOpen = true
  socket.isRead = false
  pass(1_000)
  t.same([receiver.isHeld, socket.isRead], [false, true])
  for (let n = 0; n < 40; n++) receiver.receiveControl()
  t.equal(sent.filter(type => type === 'error').length, 20, 'the burst of ten, and ten for the second of the hold, are accepted')
})

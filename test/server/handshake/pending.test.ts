import { PassThrough } from 'node:stream'
import t, { type Test } from 'tap'
import { PendingHandshakes, type PeerStream } from '../../../lib/server/handshake/pending.js'
import { Timers } from '../../../lib/time/timers.js'
import { every } from '../../every.js'

function setup (t: Test, limit = 10, time = 60_000) {
  const timers = new Timers()
  t.teardown(() => timers.close())
  const state = { gone: 0 }
  const pending = new PendingHandshakes({ limit, time, timers, onGone: () => { state.gone++ } })
  const add = (address: string, stream = from(address)) => pending.add(stream, () => {})
  return { pending, state, add }
}

/** A socket of a peer. */
function from (remoteAddress: string): PeerStream {
  return Object.assign(new PassThrough(), { remoteAddress })
}

t.test('one address gets half of the pending places, and other addresses still get places', async t => {
  const { pending, add } = setup(t)
  let mine = 0
  for (; pending.hasRoomFor(from('192.0.2.1')) && mine < 100; mine++) add('192.0.2.1')
  t.equal(mine, 5)
  for (const address of ['192.0.2.2', '192.0.2.3']) {
    t.ok(pending.hasRoom && pending.hasRoomFor(from(address)), address)
    add(address)
  }
})

t.test('the address of a handshake is not read while at most half of the places are taken', async t => {
  const { pending, add } = setup(t)
  let lookups = 0
  const counting = () => Object.defineProperty(new PassThrough(), 'remoteAddress', { get () { lookups++; return '192.0.2.1' } }) as PeerStream
  const five = Array.from({ length: 5 }, () => pending.add(counting(), () => {}))
  t.ok(every(five, one => one.comesFrom(undefined)))
  five[0].end()
  t.equal(lookups, 0)
  for (const address of ['192.0.2.2', '192.0.2.3']) add(address)
  t.notOk(pending.hasRoomFor(from('192.0.2.1')), 'earlier handshakes are counted')
  t.ok(pending.hasRoomFor(from('192.0.2.2')))
  t.equal(lookups, 4)
  t.notOk(pending.hasRoomFor(from('192.0.2.1')))
  t.equal(lookups, 4, 'each address is read once')
})

t.test('addresses of one IPv6 network share their places', async t => {
  const { pending, add } = setup(t)
  let mine = 0
  for (; pending.hasRoomFor(from(`2001:db8::${mine}`)) && mine < 100; mine++) add(`2001:db8::${mine}`)
  t.equal(mine, 5)
  t.ok(pending.hasRoomFor(from('2001:db8:0:1::1')))
})

t.test('a handshake counts for the address that a proxy names, once this address is known', async t => {
  const { pending, add } = setup(t, 14)
  const proxied = Array.from({ length: 5 }, () => add('10.0.0.1'))
  t.same(proxied.map((one, n) => one.comesFrom(`192.0.2.${n}`)), [true, true, true, true, true])
  t.ok(pending.hasRoomFor(from('10.0.0.1')))
  const same = Array.from({ length: 5 }, () => add('10.0.0.1'))
  t.same(same.map(one => one.comesFrom('192.0.2.9')), [true, true, true, true, true])
  t.equal(add('10.0.0.1').comesFrom('192.0.2.9'), false, 'the address has more handshakes than places are free')
})

t.test('a place is freed once, by the end of its handshake or of its stream', async t => {
  const { pending, state, add } = setup(t)
  const one = add('a')
  one.end()
  one.end()
  t.same([pending.size, state.gone], [0, 1])
  t.equal(one.comesFrom('b'), true)
  t.ok(pending.hasRoomFor(from('b')), 'an ended handshake is not counted again')
  const stream = from('a')
  const other = add('a', stream)
  stream.destroy()
  await new Promise(resolve => stream.once('close', resolve))
  other.end()
  t.same([pending.size, state.gone], [0, 2])
  t.equal(stream.listenerCount('close'), 0)
  t.ok(pending.hasRoomFor(from('a')))
})

t.test('a handshake that is over counts for no network, even if its address becomes known later', async t => {
  const { pending, add } = setup(t, 20)
  const all = Array.from({ length: 19 }, (_, n) => add(`192.0.2.${n}`))
  t.ok(pending.hasRoomFor(from('198.51.100.1')), 'each is counted for its network')
  for (const one of all.slice(0, 6)) {
    one.end()
    one.comesFrom('198.51.100.1')
  }
  for (let n = 0; n < 5; n++) add(`203.0.113.${n}`)
  t.equal(pending.size, 18)
  t.ok(pending.hasRoomFor(from('198.51.100.1')))
})

t.test('a handshake that is over has no deadline', async t => {
  const { pending } = setup(t, 10, 20)
  const running = setInterval(() => {}, 1_000)
  t.teardown(() => clearInterval(running))
  pending.add(new PassThrough(), () => t.fail('it was over')).end()
  await new Promise<void>(resolve => { pending.add(new PassThrough(), resolve) })
  t.equal(pending.size, 1)
})

t.test('the callback of a handshake is called at its deadline, and destroy() ends all streams', async t => {
  const { pending } = setup(t, 10, 20)
  const running = setInterval(() => {}, 1_000)
  t.teardown(() => clearInterval(running))
  await new Promise<void>(resolve => { pending.add(new PassThrough(), resolve) })
  const streams = Array.from({ length: 3 }, () => new PassThrough())
  for (const stream of streams) pending.add(stream, () => {})
  pending.destroy()
  t.ok(every(streams, ({ destroyed }) => destroyed))
})

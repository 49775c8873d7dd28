import { PassThrough } from 'node:stream'
import t, { type Test } from 'tap'
import { PendingHandshakes } from '../../lib/server/pending.js'
import { Timers } from '../../lib/server/timers.js'

function setup (t: Test, limit = 10, time = 60_000) {
  const timers = new Timers()
  t.teardown(() => timers.close())
  const state = { gone: 0 }
  const pending = new PendingHandshakes({ limit, time, timers, onGone: () => { state.gone++ } })
  const add = (address: string, stream = new PassThrough()) => pending.add(stream, address, () => {})
  return { pending, state, add }
}

t.test('one address has no more handshakes in progress than are still free, and another one gets in', async t => {
  const { pending, add } = setup(t)
  let mine = 0
  for (; pending.hasRoomFor('192.0.2.1') && mine < 100; mine++) add('192.0.2.1')
  t.equal(mine, 5)
  for (const address of ['192.0.2.2', '192.0.2.3']) {
    t.ok(pending.hasRoom && pending.hasRoomFor(address), address)
    add(address)
  }
})

t.test('addresses of one IPv6 network are one', async t => {
  const { pending, add } = setup(t)
  let mine = 0
  for (; pending.hasRoomFor(`2001:db8::${mine}`) && mine < 100; mine++) add(`2001:db8::${mine}`)
  t.equal(mine, 5)
  t.ok(pending.hasRoomFor('2001:db8:0:1::1'))
})

t.test('a handshake counts for the address that a proxy named, once that is known', async t => {
  const { pending, add } = setup(t, 14)
  const proxied = Array.from({ length: 5 }, () => add('10.0.0.1'))
  t.same(proxied.map((one, n) => one.moveTo(`192.0.2.${n}`)), [true, true, true, true, true])
  t.ok(pending.hasRoomFor('10.0.0.1'))
  const same = Array.from({ length: 5 }, () => add('10.0.0.1'))
  t.same(same.map(one => one.moveTo('192.0.2.9')), [true, true, true, true, true])
  t.equal(add('10.0.0.1').moveTo('192.0.2.9'), false, 'more than are still free')
})

t.test('a place is given back once: by its end, or by the end of its stream', async t => {
  const { pending, state, add } = setup(t)
  const one = add('a')
  one.end()
  one.end()
  t.same([pending.size, state.gone], [0, 1])
  one.moveTo('b')
  t.ok(pending.hasRoomFor('b'), 'what is over is not counted again')
  const stream = new PassThrough()
  const other = add('a', stream)
  stream.destroy()
  await new Promise(resolve => stream.once('close', resolve))
  other.end()
  t.same([pending.size, state.gone], [0, 2])
  t.equal(stream.listenerCount('close'), 0)
  t.ok(pending.hasRoomFor('a'))
})

t.test('at the deadline it is told, and destroy ends all streams', async t => {
  const { pending } = setup(t, 10, 20)
  const running = setInterval(() => {}, 1_000)
  t.teardown(() => clearInterval(running))
  await new Promise<void>(resolve => { pending.add(new PassThrough(), 'a', resolve) })
  const streams = Array.from({ length: 3 }, () => new PassThrough())
  for (const stream of streams) pending.add(stream, 'b', () => {})
  pending.destroy()
  t.ok(streams.every(({ destroyed }) => destroyed))
})

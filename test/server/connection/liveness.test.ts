import { once } from 'node:events'
import { createServer, connect, type AddressInfo, type Socket } from 'node:net'
import { mock } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import t from 'tap'
import { Liveness, type LivenessOptions, type Peer } from '../../../lib/server/connection/liveness.js'
import { every } from '../../every.js'

const { timers: clock } = mock

class FakePeer implements Peer {
  beat = -1
  isAwaitingPong = false
  isPaused = false
  /** Whether its pong is there at once. */
  isAlive: boolean
  /** Ticks at which it was pinged, found dead, found stalled. */
  readonly pings: number[] = []
  readonly deaths: number[] = []
  readonly stalls: number[] = []
  readonly #now: () => number

  constructor (now: () => number, isAlive = true) {
    this.#now = now
    this.isAlive = isAlive
  }

  ping (): void {
    this.pings.push(this.#now())
    this.isAwaitingPong = !this.isAlive
  }

  onDead (): void {
    this.deaths.push(this.#now())
  }

  onStalled (): void {
    this.stalls.push(this.#now())
  }
}

/** With a tick of 10 ms: a ping each 250, dead after 100, stalled after 120. */
function setup (t: { teardown (action: () => void): void }, options: Partial<LivenessOptions> = {}) {
  clock.enable({ apis: ['setInterval'] })
  t.teardown(() => clock.reset())
  const liveness = new Liveness({ interval: 250, timeout: 100, stall: 120, ...options })
  t.teardown(() => liveness.close())
  let now = 0
  /** Ticks, each followed by what the event loop does after its timers. */
  const run = async (ms: number, step = 10) => {
    for (const end = now + ms; now < end;) {
      now += step
      clock.tick(step)
      await setImmediate()
    }
  }
  const peer = (isAlive = true) => {
    const peer = new FakePeer(() => now, isAlive)
    peer.beat = liveness.add(peer)
    return peer
  }
  return { liveness, run, peer }
}

t.test('pings', async t => {
  t.test('each peer once in an interval', async t => {
    const { run, peer } = setup(t)
    const peers = Array.from({ length: 60 }, () => peer())
    await run(250)
    t.ok(every(peers, ({ pings }) => pings.length === 1))
    await run(750)
    t.ok(every(peers, ({ pings }) => pings.length === 4 && pings[3] - pings[2] === 250))
    t.ok(every(peers, ({ deaths, stalls }) => deaths.length + stalls.length === 0))
  })

  t.test('spread over it', async t => {
    const { run, peer } = setup(t)
    const peers = Array.from({ length: 50 }, () => peer())
    await run(250)
    const times = peers.map(({ pings }) => pings[0]).sort((a, b) => a - b)
    t.strictSame(times, Array.from({ length: 50 }, (_, n) => 10 + Math.floor(n / 2) * 10))
  })

  t.test('not those that are not read from', async t => {
    const { run, peer } = setup(t)
    const paused = peer(false)
    paused.isPaused = true
    await run(1_000)
    t.strictSame([paused.pings, paused.deaths], [[], []])
    paused.isPaused = false
    await run(250)
    t.equal(paused.pings.length, 1)
  })

  t.test('not those that were removed', async t => {
    const { liveness, run, peer } = setup(t)
    const [gone, stays] = [peer(), peer()]
    liveness.remove(gone, gone.beat)
    await run(250)
    t.strictSame([gone.pings.length, stays.pings.length], [0, 1])
    t.doesNotThrow(() => liveness.remove(gone, gone.beat))
  })
})

t.test('dead', async t => {
  t.test('is who does not answer in time, and nobody else', async t => {
    const { run, peer } = setup(t)
    const peers = Array.from({ length: 30 }, (_, n) => peer(n % 3 !== 0))
    await run(360)
    for (const { isAlive, pings, deaths } of peers) t.strictSame(deaths.slice(0, 1), isAlive ? [] : [pings[0] + 100])
  })

  t.test('is not who answers at the last moment', async t => {
    const { run, peer } = setup(t)
    const late = peer(false)
    while (late.pings.length === 0) await run(10)
    await run(90)
    t.equal(late.isAwaitingPong, true)
    late.isAwaitingPong = false
    await run(100)
    t.strictSame(late.deaths, [])
  })

  t.test('is not who is not being read from when the time is over', async t => {
    const { run, peer } = setup(t)
    const paused = peer(false)
    while (paused.pings.length === 0) await run(10)
    await run(50)
    paused.isPaused = true
    await run(400)
    t.strictSame(paused.deaths, [])
  })

  t.test('is nobody who was removed', async t => {
    const { liveness, run, peer } = setup(t)
    const gone = peer(false)
    while (gone.pings.length === 0) await run(10)
    liveness.remove(gone, gone.beat)
    await run(500)
    t.strictSame(gone.deaths, [])
  })

  t.test('is nobody as long as the timeout is nearly the interval', async t => {
    const { run, peer } = setup(t, { interval: 100, timeout: 99, stall: 1_000 })
    const [alive, dead] = [peer(), peer(false)]
    await run(220, 9)
    t.strictSame(alive.deaths, [])
    t.ok(dead.deaths[0] - dead.pings[0] >= 90, `${dead.deaths[0] - dead.pings[0]} ms`)
  })
})

t.test('stalled', async t => {
  t.test('is who does not take what was written in time', async t => {
    const { liveness, run, peer } = setup(t)
    const [blocked, drained, never] = [peer(), peer(), peer()]
    liveness.blocked(blocked)
    liveness.blocked(drained)
    await run(120)
    t.strictSame([blocked.stalls, drained.stalls], [[], []])
    liveness.drained(drained)
    await run(10)
    t.strictSame([blocked.stalls, drained.stalls, never.stalls], [[130], [], []])
  })

  t.test('is counted anew each time', async t => {
    const { liveness, run, peer } = setup(t)
    const slow = peer()
    for (let n = 0; n < 20; n++) {
      liveness.blocked(slow)
      await run(100)
      liveness.drained(slow)
    }
    t.strictSame(slow.stalls, [])
    liveness.blocked(slow)
    liveness.remove(slow, slow.beat)
    await run(500)
    t.strictSame(slow.stalls, [], 'and not once it is removed')
  })
})

t.test('a verdict waits until what had arrived was read', async t => {
  const { liveness, run, peer } = setup(t)
  for (const isAnswering of [true, false]) {
    const silent = peer(false)
    while (silent.pings.length === 0) await run(10)
    await run(90)
    // The tick that makes it ten, and then what the poll for input brings, before the immediates.
    clock.tick(10)
    t.strictSame(silent.deaths, [], 'not in the tick')
    silent.isAwaitingPong = !isAnswering
    await setImmediate()
    t.equal(silent.deaths.length, isAnswering ? 0 : 1)
  }

  const [drains, stuck, again] = [peer(), peer(), peer()]
  for (const blocked of [drains, stuck, again]) liveness.blocked(blocked)
  await run(120)
  clock.tick(10)
  liveness.drained(drains)
  liveness.drained(again)
  liveness.blocked(again)
  t.strictSame(stuck.stalls, [])
  await setImmediate()
  t.strictSame([drains.stalls, again.stalls, stuck.stalls.length], [[], [], 1])
})

t.test('time during which the event loop was blocked does not count', async t => {
  // Real timers: a tick is 1 ms, so ten of them make a peer dead, and the loop is blocked for a hundred each time.
  const socket = await echoing(t)
  const liveness = new Liveness({ interval: 30, timeout: 10, stall: 10 })
  t.teardown(() => liveness.close())
  let ticks = 0
  const peer = new FakePeer(() => ticks, false)
  peer.ping = () => {
    peer.pings.push(ticks)
    socket.write('ping')
  }
  socket.on('data', () => { peer.isAwaitingPong = false })
  liveness.add(peer)
  while (peer.pings.length < 3) {
    // As soon as it is pinged, and over and over while the answer is on its way.
    if (peer.isAwaitingPong) block(100)
    ticks++
    await setImmediate()
  }
  t.strictSame(peer.deaths, [])
})

t.test('many ticks that were missed are one', async t => {
  const liveness = new Liveness({ interval: 40, timeout: 20, stall: 20 })
  t.teardown(() => liveness.close())
  const peers = Array.from({ length: 20 }, () => new FakePeer(() => 0))
  for (const peer of peers) liveness.add(peer)
  block(200)
  // Blocked for all five intervals: the timers that are due now run once.
  await setImmediate()
  t.ok(peers.filter(({ pings }) => pings.length > 0).length <= 2)
})

t.test('after close no verdict is given, not even one that was due', async t => {
  const { liveness, run, peer } = setup(t)
  const [silent, blocked] = [peer(false), peer()]
  while (silent.pings.length === 0) await run(10)
  liveness.blocked(blocked)
  await run(90)
  clock.tick(10)
  liveness.close()
  await setImmediate()
  await run(500)
  t.strictSame([silent.deaths, blocked.stalls, silent.pings.length], [[], [], 1], 'a verdict that was due is not given any more')
  t.doesNotThrow(() => liveness.close())
})

t.test('the timer does not keep the process', async t => {
  const timeouts = () => process.getActiveResourcesInfo().filter(name => name === 'Timeout').length
  const before = timeouts()
  const liveness = new Liveness({ interval: 100, timeout: 50, stall: 50 })
  t.equal(timeouts(), before)
  liveness.close()
})

/** Keeps the event loop from turning. */
function block (ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}

/** One end of a connection on loopback whose other end sends back what it gets. */
async function echoing (t: { teardown (action: () => unknown): void }): Promise<Socket> {
  const server = createServer(socket => socket.on('error', () => {}).pipe(socket)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  t.teardown(() => {
    socket.destroy()
    server.close()
  })
  await once(socket, 'connect')
  return socket
}

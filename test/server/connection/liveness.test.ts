import { once } from 'node:events'
import { createServer, connect, type AddressInfo, type Socket } from 'node:net'
import { mock } from 'node:test'
import t from 'tap'
import { Liveness, type LivenessOptions, type Peer } from '../../../lib/server/connection/liveness.js'
import { every } from '../../every.js'
import { loopTurns } from '../../waiting.js'
import { clockStart } from '../../clock.js'

const { timers: clock } = mock

class FakePeer implements Peer {
  beat = -1
  isAwaitingPong = false
  isPaused = false
  /** Whether it answers pings at once. */
  isAlive: boolean
  /** Times at which it was pinged, found dead, found stalled, in ms. */
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

/** Liveness with a tick of 10 ms: a ping every 250 ms, dead after 100 ms, stalled after 120 ms. */
function setup (t: { teardown (action: () => void): void }, options: Partial<LivenessOptions> = {}) {
  clock.enable({ apis: ['setInterval'] })
  t.teardown(() => clock.reset())
  const liveness = new Liveness({ interval: 250, timeout: 100, stall: 120, ...options })
  t.teardown(() => liveness.close())
  let now = clockStart
  /** Advances the clock by `ms`, with a turn of the event loop after each tick. */
  const run = async (ms: number, step = 10) => {
    for (const end = now + ms; now < end;) {
      now += step
      clock.tick(step)
      await loopTurns(1)
    }
  }
  const peer = (isAlive = true) => {
    const peer = new FakePeer(() => now - clockStart, isAlive)
    peer.beat = liveness.add(peer)
    return peer
  }
  return { liveness, run, peer }
}

t.test('peers are pinged at the interval', async t => {
  t.test('each peer is pinged once per interval', async t => {
    const { run, peer } = setup(t)
    const peers = Array.from({ length: 60 }, () => peer())
    await run(250)
    t.ok(every(peers, ({ pings }) => pings.length === 1))
    await run(750)
    t.ok(every(peers, ({ pings }) => pings.length === 4 && pings[3] - pings[2] === 250))
    t.ok(every(peers, ({ deaths, stalls }) => deaths.length + stalls.length === 0))
  })

  t.test('the pings of peers are spread over the interval', async t => {
    const { run, peer } = setup(t)
    const peers = Array.from({ length: 50 }, () => peer())
    await run(250)
    const times = peers.map(({ pings }) => pings[0]).sort((a, b) => a - b)
    t.strictSame(times, Array.from({ length: 50 }, (_, n) => 10 + Math.floor(n / 2) * 10))
  })

  t.test('a paused peer is not pinged', async t => {
    const { run, peer } = setup(t)
    const paused = peer(false)
    paused.isPaused = true
    await run(1_000)
    t.strictSame([paused.pings, paused.deaths], [[], []])
    paused.isPaused = false
    await run(250)
    t.equal(paused.pings.length, 1)
  })

  t.test('a removed peer is not pinged', async t => {
    const { liveness, run, peer } = setup(t)
    const [gone, stays] = [peer(), peer()]
    liveness.remove(gone, gone.beat)
    await run(250)
    t.strictSame([gone.pings.length, stays.pings.length], [0, 1])
    t.doesNotThrow(() => liveness.remove(gone, gone.beat))
  })
})

t.test('a peer that does not answer a ping is dead', async t => {
  t.test('only a peer that does not answer within the timeout is dead', async t => {
    const { run, peer } = setup(t)
    const peers = Array.from({ length: 30 }, (_, n) => peer(n % 3 !== 0))
    await run(360)
    for (const { isAlive, pings, deaths } of peers) t.strictSame(deaths.slice(0, 1), isAlive ? [] : [pings[0] + 100])
  })

  t.test('a peer that answers at the last moment is not dead', async t => {
    const { run, peer } = setup(t)
    const late = peer(false)
    while (late.pings.length === 0) await run(10)
    await run(90)
    t.equal(late.isAwaitingPong, true)
    late.isAwaitingPong = false
    await run(100)
    t.strictSame(late.deaths, [])
  })

  t.test('a peer that is paused at the end of the timeout is not dead', async t => {
    const { run, peer } = setup(t)
    const paused = peer(false)
    while (paused.pings.length === 0) await run(10)
    await run(50)
    paused.isPaused = true
    await run(400)
    t.strictSame(paused.deaths, [])
  })

  t.test('a removed peer is not dead', async t => {
    const { liveness, run, peer } = setup(t)
    const gone = peer(false)
    while (gone.pings.length === 0) await run(10)
    liveness.remove(gone, gone.beat)
    await run(500)
    t.strictSame(gone.deaths, [])
  })

  t.test('a peer that answers is not dead if the timeout is nearly the interval', async t => {
    const { run, peer } = setup(t, { interval: 100, timeout: 99, stall: 1_000 })
    const [alive, dead] = [peer(), peer(false)]
    await run(220, 9)
    t.strictSame(alive.deaths, [])
    t.ok(dead.deaths[0] - dead.pings[0] >= 90, `${dead.deaths[0] - dead.pings[0]} ms`)
  })
})

t.test('a peer that stays blocked is stalled', async t => {
  t.test('only a blocked peer that does not drain in time is stalled', async t => {
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

  t.test('the time until a peer is stalled starts again at each block', async t => {
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
    t.strictSame(slow.stalls, [], 'a removed peer is not stalled')
  })
})

t.test('a peer is dead or stalled only after the data that has arrived is read', async t => {
  const { liveness, run, peer } = setup(t)
  for (const isAnswering of [true, false]) {
    const silent = peer(false)
    while (silent.pings.length === 0) await run(10)
    await run(90)
    // The tick that ends the timeout, then the input of the poll phase, before the immediates.
    clock.tick(10)
    t.strictSame(silent.deaths, [], 'the tick itself reports no death')
    silent.isAwaitingPong = !isAnswering
    await loopTurns(1)
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
  await loopTurns()
  t.strictSame([drains.stalls, again.stalls, stuck.stalls.length], [[], [], 1])
})

t.test('time during which the event loop was blocked does not count', async t => {
  // Real timers: a tick is 1 ms, a peer is dead after ten ticks, and each block of the loop takes 100 ms.
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
    // Blocks in each turn from the ping until the answer is read.
    if (peer.isAwaitingPong) block(100)
    ticks++
    await loopTurns(1)
  }
  t.strictSame(peer.deaths, [])
})

t.test('ticks that were missed while the event loop was blocked run as one', async t => {
  const liveness = new Liveness({ interval: 40, timeout: 20, stall: 20 })
  t.teardown(() => liveness.close())
  const peers = Array.from({ length: 20 }, () => new FakePeer(() => 0))
  for (const peer of peers) liveness.add(peer)
  block(200)
  // The loop was blocked for five intervals: a timer that is due runs once.
  await loopTurns()
  t.ok(peers.filter(({ pings }) => pings.length > 0).length <= 2)
})

t.test('a closed Liveness reports no peer, also if a report was due', async t => {
  const { liveness, run, peer } = setup(t)
  const [silent, blocked] = [peer(false), peer()]
  while (silent.pings.length === 0) await run(10)
  liveness.blocked(blocked)
  await run(90)
  clock.tick(10)
  liveness.close()
  await loopTurns()
  await run(500)
  t.strictSame([silent.deaths, blocked.stalls, silent.pings.length], [[], [], 1], 'a report that was due is dropped')
  t.doesNotThrow(() => liveness.close())
})

t.test('the timer does not keep the process running', async t => {
  const timeouts = () => process.getActiveResourcesInfo().filter(name => name === 'Timeout').length
  const before = timeouts()
  const liveness = new Liveness({ interval: 100, timeout: 50, stall: 50 })
  t.equal(timeouts(), before)
  liveness.close()
})

/** Blocks the event loop for `ms`. */
function block (ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}

/** Socket to a loopback server that echoes all data. */
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

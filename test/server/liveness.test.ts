import { mock } from 'node:test'
import t from 'tap'
import { Liveness, type Peer } from '../../lib/server/liveness.js'

class FakePeer implements Peer {
  beat = 0
  isAwaitingPong = false
  isPaused = false
  pings = 0
  dead = 0
  stalls = 0
  ping () { this.pings++ }
  onDead () { this.dead++ }
  onStalled () { this.stalls++ }
}

const options = { interval: 25_000, timeout: 10_000, stall: 10_000 }
const turn = () => new Promise<void>(resolve => setImmediate(resolve))

/** Time by hand: one tick of Liveness, and then a turn of the event loop. */
function ticking (t: { teardown: (action: () => void) => void }) {
  mock.timers.enable({ apis: ['setInterval'] })
  const liveness = new Liveness(options)
  t.teardown(() => {
    liveness.close()
    mock.timers.reset()
  })
  const seconds = async (count: number) => {
    for (let n = 0; n < count; n++) {
      mock.timers.tick(1_000)
      await turn()
    }
  }
  return { liveness, seconds }
}

t.test('pings are spread over the interval, one to each peer', async t => {
  const { liveness, seconds } = ticking(t)
  const peers = Array.from({ length: 50 }, () => new FakePeer())
  for (const peer of peers) liveness.add(peer)
  await seconds(1)
  t.equal(peers.reduce((sum, peer) => sum + peer.pings, 0), 2)
  for (const peer of peers) peer.isAwaitingPong = false
  for (let n = 0; n < 24; n++) {
    await seconds(1)
    for (const peer of peers) peer.isAwaitingPong = false
  }
  t.ok(peers.every(peer => peer.pings === 1 && peer.dead === 0))
})

t.test('a peer that was not heard for the timeout after a ping is dead; one that was, is not', async t => {
  const { liveness, seconds } = ticking(t)
  const silent = new FakePeer()
  const alive = new FakePeer()
  liveness.add(silent)
  liveness.add(alive)
  await seconds(26)
  alive.isAwaitingPong = false
  t.equal(silent.dead, 0)
  await seconds(10)
  t.equal(silent.dead, 1)
  t.equal(alive.dead, 0)
})

t.test('a peer that is not read from is not pinged', async t => {
  const { liveness, seconds } = ticking(t)
  const paused = Object.assign(new FakePeer(), { isPaused: true })
  liveness.add(paused)
  await seconds(40)
  t.equal(paused.pings + paused.dead, 0)
})

t.test('the verdict waits until what had arrived was read', async t => {
  const { liveness, seconds } = ticking(t)
  const peer = new FakePeer()
  liveness.add(peer)
  await seconds(25)
  t.equal(peer.isAwaitingPong, true)
  await seconds(9)
  mock.timers.tick(1_000)
  // Its pong was in the kernel while the event loop was blocked.
  peer.isAwaitingPong = false
  await turn()
  t.equal(peer.dead, 0)
})

t.test('a peer that takes no write for the time is stalled; one that does in between, is not', async t => {
  const { liveness, seconds } = ticking(t)
  const stalled = new FakePeer()
  const slow = new FakePeer()
  for (const peer of [stalled, slow]) {
    liveness.add(peer)
    liveness.blocked(peer)
  }
  await seconds(8)
  liveness.drained(slow)
  liveness.blocked(slow)
  await seconds(3)
  t.equal(stalled.stalls, 1)
  t.equal(slow.stalls, 0)
  mock.timers.tick(1_000)
  liveness.remove(slow)
  liveness.remove(stalled)
  await seconds(20)
  t.equal(slow.stalls, 0)
})

t.test('nothing is decided after close', async t => {
  const { liveness, seconds } = ticking(t)
  const peer = new FakePeer()
  liveness.add(peer)
  liveness.blocked(peer)
  await seconds(10)
  mock.timers.tick(1_000)
  liveness.close()
  await turn()
  t.equal(peer.stalls + peer.dead, 0)
})

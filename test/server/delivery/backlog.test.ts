import t from 'tap'
import { Backlog } from '../../../lib/server/delivery/backlog.js'
import { clockStart } from '../../clock.js'

const KiB = 1_024
const [board, chat] = ['board:b1', 'chat:c']

/** A backlog, its pings, and a peer that receives `rate` bytes per ms and returns pongs after `roundTrip` ms. */
function start ({ rate = 20 * KiB, roundTrip = 1 } = {}) {
  const pings: Array<{ id: string, at: number }> = []
  const state = { now: clockStart, written: 0, sentUntil: 0 }
  const backlog = new Backlog<string>(id => pings.push({ id, at: Math.max(state.now, state.sentUntil) + roundTrip }))
  return {
    backlog,
    pings,
    state,
    /** Writes parts of 16 KiB until the window is full. Returns the number of bytes. */
    fill () {
      let bytes = 0
      for (let mayFollow = true; mayFollow; bytes += 16 * KiB) {
        mayFollow = backlog.write(board, 16 * KiB, state.now)
        state.sentUntil = Math.max(state.now, state.sentUntil) + 16 * KiB / rate
      }
      return bytes
    },
    /** Passes the next pong. */
    answer () {
      const { id, at } = pings.shift()!
      state.now = Math.max(state.now, at)
      return backlog.confirm(id, state.now)
    }
  }
}

t.test('64 KiB are written before the first pong, with a ping before them and one per 16 KiB', async t => {
  const { backlog, pings, fill } = start()
  t.equal(fill(), 64 * KiB)
  t.equal(pings.length, 4)
  t.equal(backlog.isHeld(board), true)
  t.equal(backlog.isHeld(chat), false)
})

t.test('a pong makes room, and returns the subscriptions that were held', async t => {
  const { backlog, fill, answer, pings } = start()
  fill()
  t.strictSame(answer(), [], 'nothing was written before the first ping')
  t.strictSame(answer(), [board])
  t.equal(backlog.isHeld(board), false)
  t.equal(backlog.isEmpty, false)
  while (pings.length > 0) answer()
  t.equal(backlog.isEmpty, true)
})

t.test('pongs that answer none of its pings are not its own', async t => {
  const { backlog, fill, pings, answer } = start()
  for (const id of ['', '1', '01', 'x']) t.equal(backlog.confirm(id, 0), undefined)
  fill()
  for (const id of ['', '01', '5', 'x']) t.equal(backlog.confirm(id, 0), undefined)
  const [{ id }] = pings
  answer()
  t.equal(backlog.confirm(id, 1), undefined, 'a second pong to the same ping')
})

for (const [name, link] of Object.entries({
  'a fast link': { rate: 20 * KiB, roundTrip: 1 },
  'a slow link': { rate: KiB, roundTrip: 20 },
  'a long link': { rate: 20 * KiB, roundTrip: 150 },
  'a slow and long link': { rate: KiB / 4, roundTrip: 300 }
})) {
  t.test(`on ${name}, late bytes use its bandwidth, and the queue in front of it takes about 25 ms`, async t => {
    const { backlog, state, fill, answer } = start(link)
    let bytes = 0
    let longest = 0
    const half = { at: 0, bytes: 0 }
    for (let rounds = 0; rounds < 2_000; rounds++) {
      if (rounds === 1_000) Object.assign(half, { at: state.now, bytes })
      if (!backlog.isHeld(board)) bytes += fill()
      answer()
      if (rounds > 1_000) longest = Math.max(longest, state.sentUntil - state.now)
    }
    const used = (bytes - half.bytes) / ((state.now - half.at) * link.rate)
    t.ok(used > 0.6, `${Math.round(used * 100)} % of the bandwidth`)
    // 16 KiB are always allowed to be on their way.
    const least = 32 * KiB / link.rate
    t.ok(longest <= Math.max(60, least), `${Math.round(longest)} ms in the queue`)
  })
}

t.test('isStuck() is true when no ping was answered since the last call', async t => {
  const { backlog, fill, answer } = start()
  fill()
  t.equal(backlog.isStuck(), false, 'the first call')
  t.equal(backlog.isStuck(), true)
  answer()
  t.equal(backlog.isStuck(), false)
  t.equal(backlog.isStuck(), true)
})

t.test('release() and remove() hold a subscription no longer', async t => {
  const { backlog, fill } = start()
  fill()
  t.strictSame(backlog.release(), [board])
  t.equal(backlog.isHeld(board), false)
  fill()
  backlog.remove(chat)
  t.equal(backlog.isHeld(board), true)
  backlog.remove(board)
  t.strictSame([backlog.isHeld(board), backlog.release()], [false, []])
})

import t from 'tap'
import { connect, type Client } from '../harness.js'
import { framesOf, startBoards, stateOf, subscribe, update } from '../presence/boards.js'
import { FakeAttendee, startNodes } from '../presence/nodes.js'
import { AppProcess } from '../process.js'
import { eventually, loopTurns } from '../waiting.js'

/** With `FULL=1` the number of members is the promised one. */
const isFull = process.env.FULL === '1'

// Most of a test is waiting.
t.jobs = 4

const channel = 'board:b1'
/** Number of members that enter or leave per second. */
const pace = 500

/** What is sent per member while members enter a channel at a pace, and while they leave it. */
async function costs (t: Parameters<typeof startNodes>[0], count: number) {
  const { nodes: [{ board }], pass, published } = startNodes(t, { isMemory: true })
  const all = Array.from({ length: count }, (_, n) => new FakeAttendee(`member_${n}`))
  const sum = () => ({
    frames: all.reduce((sum, { frames }) => sum + frames.length, 0),
    entryBytes: published.reduce((sum, body) => sum + body.length, 0)
  })
  const move = async (step: (member: FakeAttendee) => void) => {
    const before = sum()
    for (const [n, member] of all.entries()) {
      step(member)
      if ((n + 1) % (pace / 100) === 0) await pass(10)
    }
    const after = sum()
    return { frames: (after.frames - before.frames) / count, entryBytes: (after.entryBytes - before.entryBytes) / count }
  }
  return {
    join: await move(member => board.enter(member, channel)),
    shown: all[0].state.count,
    leave: await move(member => board.closed(member, true))
  }
}

for (const count of [300, 3_000]) {
  t.test(`${count} members, counts only: each join and each leave costs at most 10 frames and an entry of 100 bytes`, async t => {
    const { join, leave, shown } = await costs(t, count)
    t.ok(join.frames <= 10 && leave.frames <= 10, `${join.frames} frames per join, ${leave.frames} per leave`)
    t.ok(join.entryBytes <= 100 && leave.entryBytes <= 100, `${join.entryBytes} bytes per join, ${leave.entryBytes} per leave`)
    t.ok(shown > count * 0.75, `${shown} of ${count} members are shown at the end`)
  })
}

t.test('a client that does not read gets one state afterwards, whatever has changed, and nothing is written for it meanwhile', async t => {
  const { app, join } = await startBoards(t)
  const [ada, bob, eve] = [await join('ada'), await join('bob'), await join('eve')]
  for (const client of [ada, bob, eve]) await subscribe(client)
  await ada.until(() => stateOf(ada).count === 3)
  const framesBefore = framesOf(ada).length
  ada.socket.pause()
  // 20 MB: more than the buffers of the system hold.
  const text = 'x'.repeat(50_000)
  const delivered = app.ws.stats().deliveries
  for (let n = 0; n < 400; n++) {
    await app.ws.sendToUser('ada', { type: 'big', data: { text } })
    await loopTurns(1)
  }
  t.ok(app.ws.stats().deliveries - delivered < 400, 'the socket of ada takes no more')

  const { writes } = app.ws.stats()
  const received = () => bob.received.length + eve.received.length
  const receivedBefore = received()
  // Each one is a version of the list. A difference is kept for 32 of them.
  for (let n = 0; n < 20; n++) {
    bob.send({ type: 'unsubscribe', data: { channels: [channel] } })
    await eve.until(() => stateOf(eve).count === 2)
    await subscribe(bob)
    await eve.until(() => stateOf(eve).count === 3)
  }
  const [written, read] = [app.ws.stats().writes - writes, received() - receivedBefore]
  t.ok(read >= 80 && written <= read, `${written} writes for ${read} frames of the others`)

  ada.socket.resume()
  await ada.until(() => framesOf(ada).length > framesBefore)
  await update(bob, { cursor: 'last' })
  await ada.until(() => framesOf(ada).at(-1)!.updated)
  const frames = framesOf(ada).slice(framesBefore)
  t.strictSame(frames.map(frame => frame.members?.length), [3, undefined])
})

t.test('200 members: each gets at most one frame per 100 ms, however many changes there are', async t => {
  const { nodes: [{ board }], pass } = startNodes(t, { isMemory: true, max: 200 })
  const all = Array.from({ length: 200 }, (_, n) => new FakeAttendee(`member_${n}`))
  for (const member of all) board.enter(member, channel)
  await pass(200)
  const lengths = () => all.map(({ frames }) => frames.length)
  let changes = 0
  const most: number[] = []
  for (let window = 0; window < 20; window++) {
    const before = lengths()
    for (let step = 0; step < 10; step++, changes += 42) {
      // Data is published each 200 ms per member. The members begin at different times, so some data is due all the time.
      for (const member of all.slice(0, window < 2 ? (window * 10 + step + 1) * 2 : 40)) board.update(member, channel, changes)
      board.leave(all[199], channel, true)
      board.enter(all[199], channel)
      await pass(10)
    }
    most.push(Math.max(...lengths().slice(0, 199).map((length, n) => length - before[n])))
  }
  const sum = most.reduce((sum, count) => sum + count)
  t.ok(Math.max(...most) === 1 && sum >= 18, `${sum} frames for ${changes} changes in 2 s`)
  t.equal(all[0].state.count, 200)
})

const members = isFull ? 10_000 : 500

t.test(`${members} members enter and leave, half of them without a goodbye: the heap of the server is back where it was`, async t => {
  t.setTimeout(isFull ? 300_000 : 60_000)
  const patience = isFull ? 120_000 : 20_000
  const app = await AppProcess.startPlain(t, { limits: { pending: 20_000 } })
  const visit = async () => {
    const all: Client[] = []
    for (let from = 0; from < members; from += 250) {
      const users = Array.from({ length: Math.min(250, members - from) }, (_, n) => `user_${from + n}`)
      all.push(...await Promise.all(users.map(user => connect(t, `${app.url}/ws/notifications/${user}`))))
    }
    for (const client of all) client.send({ type: 'subscribe', data: { channels: [{ channel: 'desk:d1' }] } })
    await Promise.all(all.map(client => client.until(() => framesOf(client, 'desk:d1').at(-1)?.count === members, patience)))
    const { memory } = await app.usage()
    for (const [n, { socket }] of all.entries()) {
      if (n % 2 === 0) socket.close(1000)
      else socket.terminate()
    }
    // A connection that follows the channel sees when the last one has left.
    const last = await connect(t, `${app.url}/ws/notifications/last`)
    await subscribe(last, 'desk:d1')
    await last.until(() => stateOf(last, 'desk:d1').count === 1, patience)
    last.socket.close(1000)
    await eventually(async () => (await app.stats()).connections === 0)
    return memory
  }
  // Compiles code, and creates the channels of the users, which have a history.
  await visit()
  const { memory: before } = await app.usage()
  const during = await visit()
  const { memory: after } = await app.usage()
  const perMember = (bytes: number) => Math.round((bytes - before) / members)
  // The second visit still compiles code, which takes up to half a MiB.
  const compiled = 1_024 * 1_024
  t.ok(during - before > members * 1_000, `${perMember(during)} bytes per member while they are there`)
  t.ok(after - before < members * 200 + compiled, `${perMember(after)} bytes per member afterwards`)
})

import t from 'tap'
import { FakeAttendee, startNodes } from '../presence/nodes.js'

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

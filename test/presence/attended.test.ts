import t from 'tap'
import { gate } from '../waiting.js'
import { FakeAttendee, startNodes } from './nodes.js'

const channel = 'board:b1'

t.test('the first change is shown at once, and later ones at most every 100 ms in one frame', async t => {
  const { nodes: [{ board }], pass } = startNodes(t, { isMemory: true })
  const ada = new FakeAttendee('ada')
  board.enter(ada, channel)
  await pass(20)
  t.strictSame(ada.frames, [{ count: 1, members: [{ user_id: 'ada', connections: [{ id: 'ada' }] }] }])
  await pass(200)
  const others = Array.from({ length: 5 }, (_, n) => new FakeAttendee(`c${n}`))
  for (const other of others) {
    board.enter(other, channel)
    await pass(20)
  }
  await pass(100)
  t.ok(ada.frames.length <= 4, `${ada.frames.length} frames for 5 arrivals within 100 ms`)
  t.equal(ada.state.count, 6)
  const before = ada.frames.length
  board.update(others[0], channel, 1)
  board.leave(others[1], channel, true)
  board.enter(others[1], channel)
  await pass(200)
  t.equal(ada.frames.length, before + 1)
})

t.test('a connection that enters again reads the state again, and stays listed as before', async t => {
  const { nodes: [{ board }], pass } = startNodes(t, { isMemory: true })
  const [ada, spy] = [new FakeAttendee('ada'), new FakeAttendee('spy')]
  board.enter(ada, channel, false)
  board.enter(spy, channel, true)
  await pass(200)
  board.update(ada, channel, 1)
  await pass(200)
  const before = spy.frames.length
  board.enter(ada, channel)
  board.enter(spy, channel)
  await pass(200)
  t.strictSame(spy.frames.slice(before), [{ count: 1, members: [{ user_id: 'ada', connections: [{ id: 'ada', data: 1 }] }] }])
  t.equal(ada.users, 'ada')
  board.enter(spy, channel, false)
  await pass(200)
  t.equal(ada.users, 'ada,spy')
  board.enter(spy, channel, true)
  await pass(200)
  t.equal(ada.users, 'ada')
})

t.test('a node that begins to follow a channel shows the first list when the others have answered', async t => {
  const { nodes: [one, two], pass } = startNodes(t, { count: 2 })
  const [ada, bob] = [new FakeAttendee('ada'), new FakeAttendee('bob')]
  one.board.enter(ada, channel)
  await pass(500)
  two.board.enter(bob, channel)
  await pass(100)
  t.strictSame(bob.frames, [], 'not before')
  await pass(400)
  t.strictSame([bob.frames.length, bob.users, ada.users], [1, 'ada,bob', 'ada,bob'])
})

t.test('the members of a dead node leave, and those of one that was just heard stay', async t => {
  const { nodes: [one, two], pass, state, look } = startNodes(t, { count: 2 })
  const [ada, bob] = [new FakeAttendee('ada'), new FakeAttendee('bob')]
  one.board.enter(ada, channel)
  two.board.enter(bob, channel)
  await pass(500)
  state.alive = ['n0']
  look()
  await pass(200)
  t.equal(ada.users, 'ada,bob', 'heard within 2 s')
  await pass(2_000)
  look()
  await pass(200)
  t.equal(ada.users, 'ada')
})

t.test('the members of a node that says goodbye stay for 5 s', async t => {
  const { nodes: [one, two], pass } = startNodes(t, { count: 2 })
  const [ada, bob] = [new FakeAttendee('ada'), new FakeAttendee('bob')]
  one.board.enter(ada, channel)
  two.board.enter(bob, channel)
  await pass(500)
  await two.presence.close()
  await pass(4_800)
  t.equal(ada.users, 'ada,bob')
  await pass(400)
  t.equal(ada.users, 'ada')
})

t.test('a node that ends waits until its goodbye is stored, and ends too if that fails', async t => {
  const { nodes: [one, two], pass, state, published } = startNodes(t, { count: 2 })
  for (const { id, board } of [one, two]) board.enter(new FakeAttendee(id), channel)
  await pass(500)
  const stored = gate()
  state.stored = stored.opened
  let isClosed = false
  const closed = one.presence.close().then(() => { isClosed = true })
  await pass(10)
  t.match(published.at(-1), /"bye"/)
  t.equal(isClosed, false)
  stored.open()
  await closed
  state.isAway = true
  await two.presence.close()
})

t.test('a node that begins to follow after a goodbye drops the members as well', async t => {
  const { nodes: [one, two], pass, published, logs } = startNodes(t, { count: 2 })
  const [ada, bob] = [new FakeAttendee('ada'), new FakeAttendee('bob')]
  two.board.enter(bob, channel)
  await pass(500)
  await two.presence.close()
  one.board.enter(ada, channel)
  await pass(10)
  for (const body of published) logs.get('n0 presence:board:b1')!.append(body, 0)
  await pass(500)
  t.equal(ada.users, 'ada,bob')
  await pass(5_000)
  t.equal(ada.users, 'ada')
})

t.test('while the broker is away the list is stale, and what happened meanwhile is shown afterwards', async t => {
  const { nodes: [one, two], pass, state, look } = startNodes(t, { count: 2 })
  const [ada, bob, eve] = [new FakeAttendee('ada'), new FakeAttendee('bob'), new FakeAttendee('eve')]
  one.board.enter(ada, channel)
  for (const attendee of [bob, eve]) two.board.enter(attendee, channel)
  await pass(500)
  state.isAway = true
  look()
  two.board.leave(eve, channel, true)
  await pass(2_000)
  t.strictSame([ada.state.isStale, ada.users], [true, 'ada,bob,eve'])
  state.isAway = false
  look()
  await pass(500)
  t.strictSame([ada.state.isStale, ada.users], [true, 'ada,bob'])
  await pass(1_000)
  t.strictSame([ada.state.isStale, bob.state.isStale, bob.users], [false, false, 'ada,bob'])
})

t.test('after entries may have been missed every node publishes its connections again', async t => {
  const { nodes: [one, two], pass, logs, published } = startNodes(t, { count: 2 })
  const [ada, bob] = [new FakeAttendee('ada'), new FakeAttendee('bob')]
  one.board.enter(ada, channel)
  two.board.enter(bob, channel)
  await pass(500)
  const before = published.length
  logs.get('n0 presence:board:b1')!.reset('e2')
  await pass(500)
  t.strictSame(published.slice(before).map(body => JSON.parse(body)).map(({ node, kind, hello }) => [node, kind, hello]), [
    ['n0', 'state', true], ['n1', 'state', undefined]
  ])
})

t.test('a channel that cannot be followed at first is followed later', async t => {
  const { nodes: [{ board }], pass, state } = startNodes(t)
  const ada = new FakeAttendee('ada')
  state.isAway = true
  board.enter(ada, channel)
  await pass(500)
  state.isAway = false
  await pass(1_500)
  t.equal(ada.users, 'ada')
})

t.test('one that nobody needs any more is not followed later', async t => {
  const { nodes: [{ board, presence }], pass, state } = startNodes(t)
  const ada = new FakeAttendee('ada')
  state.isAway = true
  board.enter(ada, channel)
  await pass(10)
  board.leave(ada, channel, true)
  state.isAway = false
  await pass(1_500)
  t.strictSame([presence.size, ada.frames], [0, []])
})

t.test('a node that reads a channel in which nobody is present publishes nothing, and asks the other nodes once connections were present', async t => {
  const { nodes: [one, two], pass, published } = startNodes(t, { count: 2 })
  const spy = new FakeAttendee('spy')
  one.board.enter(spy, channel, true)
  await pass(500)
  t.strictSame([published, spy.frames], [[], [{ count: 0, members: [] }]])
  const members = two.board.members(channel)
  await pass(10)
  t.strictSame([await members, published], [[], []])
  const ada = new FakeAttendee('ada')
  two.board.enter(ada, channel)
  await pass(500)
  t.strictSame([spy.users, ada.users, published.length], ['ada', 'ada', 1])
  one.board.leave(spy, channel, true)
  await pass(10)
  one.board.enter(spy, channel, true)
  await pass(500)
  t.strictSame([spy.users, published.map(body => JSON.parse(body).hello)], ['ada', [undefined, true, undefined]])
})

t.test('a connection that leaves, before the first list or after it, gets no further frame', async t => {
  const { nodes: [{ board }], pass } = startNodes(t, { count: 2 })
  const [stays, early, late] = ['stays', 'early', 'late'].map(id => new FakeAttendee(id))
  for (const attendee of [stays, early, late]) board.enter(attendee, channel)
  board.leave(early, channel, true)
  await pass(500)
  t.strictSame([early.isReading, early.frames, late.users], [false, [], 'late,stays'])
  board.leave(late, channel, true)
  await pass(500)
  t.strictSame([late.isReading, late.users, stays.users], [false, 'late,stays', 'stays'])
})

t.test('a channel that is left before its log is there is not followed', async t => {
  const { nodes: [{ board, presence }], logs, pass } = startNodes(t, { count: 2 })
  const ada = new FakeAttendee('ada')
  board.enter(ada, channel)
  board.leave(ada, channel, true)
  t.equal(presence.size, 0)
  await pass(500)
  t.strictSame([...logs.values()].map(({ readers, listener }) => [readers.length, listener]), [[0, undefined]])
})

import { Type } from '@sinclair/typebox'
import t from 'tap'
import { encodeEntry } from '../../lib/presence/log/entry.js'
import { FakeAttendee, startNodes } from './nodes.js'
import { found } from '../every.js'
import { countAlive } from '../leaks.js'

const channel = 'board:b1'

t.test('a connection that ends without a goodbye stays for 5 s, and nothing is left afterwards', async t => {
  const { nodes: [{ board, presence }], pass, planned, logs } = startNodes(t, { isMemory: true })
  const [ada, bob] = [new FakeAttendee('ada'), new FakeAttendee('bob')]
  board.enter(ada, channel)
  board.enter(bob, channel)
  await pass(500)
  board.closed(bob, false)
  await pass(4_800)
  t.equal(ada.users, 'ada,bob')
  await pass(400)
  t.equal(ada.users, 'ada')
  t.notOk(bob.isReading)
  board.closed(ada, true)
  board.closed(ada, true)
  await pass(200)
  const log = logs.get('n0 presence:board:b1')!
  t.strictSame([presence.size, planned.size, log.readers.length, log.listener], [0, 0, 0, undefined])
})

t.test('presence that is closed listens to its node no longer', async t => {
  const { nodes: [{ presence, listeners }] } = startNodes(t)
  t.equal(listeners.size, 1)
  await presence.close()
  t.equal(listeners.size, 0)
})

t.test('presence that is closed neither publishes nor makes a version later', async t => {
  const { nodes: [{ board, presence }], pass, planned, logs } = startNodes(t, { isMemory: true })
  const ada = new FakeAttendee('ada')
  board.enter(ada, channel)
  await pass(500)
  t.equal(planned.size, 0)
  board.update(ada, channel, 1)
  t.equal(planned.size, 1, 'an entry is due')
  logs.get('n0 presence:board:b1')!.append(encodeEntry({ kind: 'bye', node: '' }), 0)
  t.equal(planned.size, 2, 'a version is due')
  await presence.close()
  t.equal(planned.size, 0)
})

t.test('a user keeps at most as many ended connections as channels', async t => {
  const { nodes: [{ board }], pass } = startNodes(t, { isMemory: true, channelsPerUser: 2 })
  const ada = new FakeAttendee('ada')
  board.enter(ada, channel)
  const devices = ['c1', 'c2', 'c3'].map(id => new FakeAttendee(id, 'bob'))
  for (const device of devices) board.enter(device, channel)
  await pass(500)
  for (const device of devices) board.closed(device, false)
  await pass(500)
  const bob = () => ada.state.members.find(({ userId }) => userId === 'bob')
  t.strictSame(bob()!.connections.map(({ id }) => id), ['c1', 'c2'])
  await pass(5_000)
  t.equal(bob(), undefined)
  board.enter(devices[0], channel)
  await pass(500)
  board.closed(devices[0], false)
  await pass(500)
  t.ok(bob(), 'ended ones are counted no more')
})

t.test('data is checked: bytes, schema, and whose it is', async t => {
  const { nodes: [{ board, presence }], pass } = startNodes(t, { isMemory: true })
  const typed = presence.of({ data: Type.Object({ typing: Type.Boolean() }) }, 'chat.presence')
  const [ada, spy] = [new FakeAttendee('ada'), new FakeAttendee('spy')]
  typed.enter(ada, 'chat:c1')
  board.enter(ada, channel)
  board.enter(spy, channel, true)
  await pass(200)
  t.throws(() => typed.update(ada, 'chat:c1', { typing: 1 }), { code: 'bad_message', message: /^\/data\/typing/ })
  t.throws(() => board.update(ada, channel, 'é'.repeat(512)), { code: 'too_big', message: /1024 bytes.*1026/ })
  board.update(ada, channel, 'é'.repeat(511))
  t.throws(() => board.update(spy, channel, 1), { code: 'presence_hidden' })
  t.throws(() => board.update(ada, 'board:other', 1), { code: 'not_subscribed' })
  t.throws(() => board.update(new FakeAttendee('eve'), channel, 1), { code: 'not_subscribed' })
  typed.update(ada, 'chat:c1', { typing: true })
  await pass(200)
  t.strictSame(await typed.members('chat:c1'), [{ userId: 'ada', connections: [{ id: 'ada', data: { typing: true } }] }])
  typed.update(ada, 'chat:c1', undefined)
  await pass(200)
  t.strictSame(await typed.members('chat:c1'), [{ userId: 'ada', connections: [{ id: 'ada' }] }])
})

t.test('a schema that cannot be used is an error at the start', async t => {
  const { nodes: [{ presence }] } = startNodes(t)
  const data = Type.String({ format: 'unheard-of' })
  const expected = { code: 'RT_ERR_OPTIONS', message: /chat\.presence\.data: the schema uses the format/ }
  t.throws(() => presence.of({ data }, 'chat.presence'), expected)
})

t.test('members are read on a node without connections, which follows the channel for 5 s', async t => {
  const { nodes: [one, two], pass } = startNodes(t, { count: 2 })
  one.board.enter(new FakeAttendee('ada'), channel)
  await pass(500)
  const members = two.board.members(channel)
  await pass(500)
  t.strictSame(await members, [{ userId: 'ada', connections: [{ id: 'ada' }] }])
  t.equal(two.presence.size, 1)
  await pass(5_000)
  t.equal(two.presence.size, 0)
})

t.test('members reject while the broker is away', async t => {
  const { nodes: [{ board }], state } = startNodes(t)
  state.isAway = true
  await t.rejects(board.members(channel), { code: 'RT_ERR_BROKER' })
})

t.test('a node without connections says no goodbye, and neither does the only one', async t => {
  const two = startNodes(t, { count: 2 })
  const members = two.nodes[0].board.members(channel)
  await two.pass(500)
  await members
  await two.nodes[0].presence.close()
  const one = startNodes(t)
  one.nodes[0].board.enter(new FakeAttendee('ada'), channel)
  await one.pass(500)
  await one.nodes[0].presence.close()
  t.strictSame(found([...two.published, ...one.published], body => body.includes('"bye"')), [])
})

t.test('nothing is kept of a connection that has left all channels', async t => {
  const { nodes: [{ board }], pass } = startNodes(t, { isMemory: true })
  const visit = async () => {
    const attendee = new FakeAttendee('ada')
    for (const name of ['board:b1', 'board:b2']) board.enter(attendee, name)
    await pass(200)
    board.leave(attendee, 'board:b1', true)
    board.closed(attendee, true)
    return new WeakRef(attendee)
  }
  const visits = [await visit(), await visit()]
  await pass(200)
  t.equal(countAlive(visits), 0)
})

import t from 'tap'
import { nobody } from '../../../lib/client/channels/presence.js'
import { applied } from '../../../lib/client/channels/roster.js'
import { frameOf } from '../../../lib/client/sharing/shared-presence.js'
import type { Presence } from '../../../lib/protocol/presence.js'

const user = (id: string, ...connections: string[]) => ({ user_id: id, connections: connections.map(id => ({ id })) })
const after = (...frames: Presence[]) => frames.reduce(applied, nobody)
/** Ids of the connections of each member, in order. */
const listOf = ({ members }: typeof nobody) => members.map(({ userId, connections }) => `${userId}: ${connections.map(({ id }) => id).join()}`)

t.test('a state replaces the list, and differences change it', async t => {
  const state = after({ count: 2, members: [user('ada', 'a1'), user('bob', 'b1')] })
  t.strictSame(listOf(state), ['ada: a1', 'bob: b1'])
  t.match(state, { count: 2, isStale: false })
  const joined = applied(state, { count: 3, joined: [user('cid', 'c1'), user('ada', 'a2')] })
  t.strictSame(listOf(joined), ['ada: a1,a2', 'bob: b1', 'cid: c1'])
  const left = applied(joined, { count: 2, left: [{ user_id: 'ada', connections: ['a1'] }, { user_id: 'bob', connections: ['b1'] }] })
  t.strictSame(listOf(left), ['ada: a2', 'cid: c1'])
  t.strictSame(listOf(applied(left, { count: 1, members: [user('dan', 'd1')] })), ['dan: d1'])
})

t.test('an update replaces the data of the connection that it names, in its place', async t => {
  const state = after({ count: 1, members: [user('ada', 'a1', 'a2')] }, { count: 1, updated: [{ user_id: 'ada', connections: [{ id: 'a1', data: 1 }] }] })
  t.strictSame(state.members[0].connections, [{ id: 'a1', data: 1 }, { id: 'a2' }])
  const cleared = applied(state, { count: 1, updated: [user('ada', 'a1')] })
  t.strictSame(cleared.members[0].connections, [{ id: 'a1' }, { id: 'a2' }])
})

t.test('a user whose connection is replaced by another one in one frame stays a member, in the same place', async t => {
  const state = after({ count: 2, members: [user('ada', 'a1'), user('bob', 'b1')] }, { count: 2, joined: [user('ada', 'a2')], left: [{ user_id: 'ada', connections: ['a1'] }] })
  t.strictSame(listOf(state), ['ada: a2', 'bob: b1'])
})

t.test('members that did not change are the same objects, and the list is the same while none changed, after a new state too', async t => {
  const state = after({ count: 2, members: [user('ada', 'a1'), user('bob', 'b1')] })
  const updated = applied(state, { count: 2, updated: [{ user_id: 'ada', connections: [{ id: 'a1', data: 1 }] }] })
  t.not(updated.members, state.members)
  t.not(updated.members[0], state.members[0])
  t.equal(updated.members[1], state.members[1])
  const same = applied(updated, { count: 2, members: [{ user_id: 'ada', connections: [{ id: 'a1', data: 1 }] }, user('bob', 'b1')] })
  t.equal(same.members, updated.members)
  const moved = applied(same, { count: 2, members: [user('bob', 'b1'), user('ada', 'a1')] })
  t.not(moved.members, same.members)
  t.equal(moved.members[0], same.members[1])
})

t.test('a frame without a list changes only the count and the staleness, and null drops the list', async t => {
  const state = after({ count: 1, members: [user('ada', 'a1')] })
  const stale = applied(state, { count: 1, stale: true })
  t.equal(stale.members, state.members)
  t.match(stale, { count: 1, isStale: true })
  t.equal(applied(stale, { count: 1 }).isStale, false)
  t.strictSame(applied(stale, { count: 201, members: null }), { members: [], count: 201, isStale: false })
})

t.test('someone unknown who leaves changes nothing', async t => {
  const state = after({ count: 1, members: [user('ada', 'a1')] })
  t.equal(applied(state, { count: 1, left: [{ user_id: 'bob', connections: ['b1'] }, { user_id: 'ada', connections: ['a9'] }] }).members, state.members)
})

t.test('the frame of a state leads to the same state', async t => {
  const state = after({ count: 1, members: [{ user_id: 'ada', connections: [{ id: 'a1', data: { at: 1 } }] }] })
  for (const each of [nobody, state, { ...state, isStale: true }, { members: [], count: 900, isStale: false }]) {
    t.strictSame(applied(after({ count: 1, members: [user('eve', 'e1')] }), JSON.parse(JSON.stringify(frameOf(each)))), each)
  }
})

import t from 'tap'
import { Value } from '@sinclair/typebox/value'
import { Presence } from '../../lib/protocol/presence.js'

const members = [{ user_id: 'ada', connections: [{ id: 'a1', data: { cursor: 3 } }, { id: 'a2' }] }]

t.test('the data of a presence frame is a state, a difference or a number', async t => {
  for (const data of [
    { count: 1, members },
    { count: 0, members: [] },
    { count: 500, members: null },
    { count: 1, joined: members },
    { count: 1, updated: members, left: [{ user_id: 'bob', connections: ['b1'] }] },
    { count: 1, stale: true },
    { count: 1 }
  ]) t.ok(Value.Check(Presence, data), JSON.stringify(data))
  for (const data of [
    undefined, {}, { count: -1 }, { count: 0.5 }, { count: 1, members: {} }, { count: 1, joined: null }, { count: 1, stale: false },
    { count: 1, joined: [{ connections: [] }] }, { count: 1, left: members }
  ]) t.notOk(Value.Check(Presence, data), JSON.stringify(data))
})

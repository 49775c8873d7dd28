import { Value } from '@sinclair/typebox/value'
import t from 'tap'
import { PresenceData } from '../../lib/protocol/presence.js'

t.test('a state, a difference and a number alone are valid, and data of another form is not', async t => {
  const ada = { user_id: 'ada', connections: [{ id: 'c1', data: { cursor: 'c' } }, { id: 'c2' }] }
  for (const valid of [
    { count: 1, members: [ada] },
    { count: 1, joined: [ada], updated: [ada], left: [{ user_id: 'bob', connections: ['c3'] }], stale: true },
    { count: 300, members: null }
  ]) t.ok(Value.Check(PresenceData, valid), JSON.stringify(valid))
  for (const wrong of [{}, { count: 1, members: ['ada'] }, { count: 1, left: [ada] }, { count: -1 }]) {
    t.notOk(Value.Check(PresenceData, wrong), JSON.stringify(wrong))
  }
})

import t from 'tap'
import { countData, differenceData, stateData } from '../../lib/presence/frame.js'

const present = (id: string, user: string, data?: string) => ({ id, user, data })
const parts = { count: 2, isStale: false }

t.test('a state lists each user once, with all connections', async t => {
  const members = new Map([
    ['ada', new Map([['c1', present('c1', 'ada', '{"typing":true}')], ['c2', present('c2', 'ada')]])],
    ['"b"', new Map([['c3', present('c3', '"b"')]])]
  ])
  t.strictSame(JSON.parse(stateData(members, parts)), {
    count: 2,
    members: [
      { user_id: 'ada', connections: [{ id: 'c1', data: { typing: true } }, { id: 'c2' }] },
      { user_id: '"b"', connections: [{ id: 'c3' }] }
    ]
  })
  t.strictSame(JSON.parse(stateData(new Map(), { count: 0, isStale: true })), { count: 0, members: [], stale: true })
})

t.test('a difference lists the connections concerned', async t => {
  const before = present('c1', 'ada')
  const changes = new Map([
    ['c4', { before: undefined, after: present('c4', 'ada') }],
    ['c5', { before: undefined, after: present('c5', 'ada') }],
    ['c1', { before, after: present('c1', 'ada', '1') }],
    ['c2', { before: present('c2', 'bob'), after: undefined }]
  ])
  t.strictSame(JSON.parse(differenceData(changes, parts)), {
    count: 2,
    joined: [{ user_id: 'ada', connections: [{ id: 'c4' }, { id: 'c5' }] }],
    updated: [{ user_id: 'ada', connections: [{ id: 'c1', data: 1 }] }],
    left: [{ user_id: 'bob', connections: ['c2'] }]
  })
  t.strictSame(JSON.parse(differenceData(new Map(), { count: 2, isStale: true })), { count: 2, stale: true })
})

t.test('above the maximum there is only the number', async t => {
  t.equal(countData({ count: 300, isStale: false }), '{"count":300,"members":null}')
})

import t from 'tap'
import { encodeEntry, type Entry } from '../../../lib/presence/log/entry.js'
import { PresenceLog } from '../../../lib/presence/log/presence-log.js'

const limits = { size: 0, ttl: 1, lag: 0 }

t.test('entries are merged and retained by none, and the listener gets them', async t => {
  const log = new PresenceLog('e', limits)
  const entries: string[] = []
  let missed = 0
  log.append(encodeEntry({ kind: 'state', node: 'n1', present: [{ id: 'a', user: 'ada' }] }), 0)
  log.listener = { onEntry: ({ kind }) => entries.push(kind), onMissed: () => missed++ }
  log.append(encodeEntry({ kind: 'change', node: 'n1', present: [{ id: 'b', user: 'bob' }], gone: [] }), 0)
  log.append('{"version":7}', 0)
  t.strictSame([log.head, log.length, entries], [3, 0, ['change']])
  t.strictSame([log.evicted, log.beginning, log.shift(), log.behind(), log.read()], [3, 3, 0, 0, ''])
  log.expire()
  log.trim()
  log.reset('e2', 7)
  t.strictSame([missed, log.head, log.epoch, log.roster.takeAll().size], [1, 7, 'e2', 2], 'the roster stays until the nodes have published again')
})

t.test('the bytes are those of the connections, and back at 0 when all have left', async t => {
  const log = new PresenceLog('e', limits)
  const present = [{ id: 'a', user: 'ada', data: JSON.stringify('x'.repeat(1_000)) }, { id: 'b', user: 'bob' }]
  const bytesAfter = (entry: Entry) => {
    log.append(encodeEntry(entry), 0)
    return log.bytes
  }
  const all = bytesAfter({ kind: 'state', node: 'n1', present })
  t.ok(all > 1_000 && all < 3_000, `${all}`)
  t.equal(bytesAfter({ kind: 'state', node: 'n1', present }), all)
  log.reset('e2')
  t.equal(log.bytes, all)
  t.ok(bytesAfter({ kind: 'change', node: 'n1', present: [{ id: 'a', user: 'ada' }], gone: ['b', 'unknown'] }) < 1_000)
  t.equal(bytesAfter({ kind: 'state', node: 'n1', present: [] }), 0)
  bytesAfter({ kind: 'state', node: 'n2', present })
  log.drop('n2')
  t.equal(log.bytes, 0)
})

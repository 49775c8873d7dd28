import t from 'tap'
import { encodeEntry } from '../../../lib/presence/log/entry.js'
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
  t.strictSame([log.head, log.length, log.bytes, entries], [3, 0, 0, ['change']])
  t.strictSame([log.evicted, log.beginning, log.shift(), log.behind(), log.read()], [3, 3, 0, 0, ''])
  log.expire()
  log.trim()
  log.reset('e2', 7)
  t.strictSame([missed, log.head, log.epoch, log.roster.takeAll().size], [1, 7, 'e2', 2], 'the roster stays until the nodes have published again')
})

import t from 'tap'
import type { Kinds } from '../../../lib/server/kinds.js'
import { Cursor, type CursorOwner } from '../../../lib/server/delivery/cursor.js'
import type { Subscription } from '../../../lib/server/delivery/subscription.js'
import { Versions } from '../../../lib/presence/versions.js'

t.test('a cursor reads the state of its log, again after a restart, and nothing after its end', async t => {
  const log = new Versions(10, (_version, data) => data)
  log.publish(new Map(), false)
  const read: string[] = []
  const owner = {
    isDeflated: false,
    wake: (subscription: Subscription) => { read.push(String(subscription.read(1_000, false))) },
    unsubscribe: (subscription: Subscription) => subscription.end()
  } as unknown as CursorOwner
  const cursor = new Cursor(owner, { kind: { name: 'p', label: 'k', start: 'now' } satisfies Kinds['all'][number], channel: 'p:1', log })
  cursor.restart()
  cursor.end()
  log.publish(new Map(), true)
  t.strictSame(read, ['{"count":0,"members":[]}', '{"count":0,"members":[]}'])
})

import t from 'tap'
import type { Connection } from '../../lib/server/connection.js'
import { Hub } from '../../lib/server/hub.js'

const fake = (userId: string) => ({ userId }) as Connection

t.test('connections by user', async t => {
  const hub = new Hub()
  const [a, b, c] = [fake('u1'), fake('u1'), fake('u2')]
  for (const connection of [a, b, c]) hub.add(connection)
  t.strictSame([hub.size, hub.users, hub.count('u1'), hub.count('u3')], [3, 2, 2, 0])
  t.strictSame(hub.connections('u1'), [a, b])
  t.strictSame(hub.connections('u3'), [])
  hub.remove(a)
  hub.remove(a)
  t.strictSame(hub.connections(), [b, c])
  hub.remove(b)
  t.strictSame([hub.size, hub.users, hub.count('u1')], [1, 1, 0])
})

import t from 'tap'
import type { Connection } from '../../../lib/server/connection/connection.js'
import { Hub } from '../../../lib/server/connection/hub.js'

const fake = (userId: string, isEnding = false) => ({ userId, isEnding }) as Connection

t.test('connections are found by their user until they are removed', async t => {
  const hub = new Hub()
  const [a, b, c] = [fake('u1'), fake('u1'), fake('u2')]
  for (const connection of [a, b, c]) hub.add(connection)
  t.strictSame([hub.size, hub.users], [3, 2])
  t.strictSame(hub.connections('u1'), [a, b])
  t.strictSame(hub.connections('u3'), [])
  hub.remove(a)
  hub.remove(a)
  t.strictSame(hub.connections(), [b, c])
  t.strictSame(hub.connections('u1'), [b])
  hub.remove(b)
  t.strictSame([hub.size, hub.users], [1, 1], 'nothing is kept of a user without a connection')
  t.strictSame(hub.connections('u1'), [])
})

t.test('an ending connection does not count against the limit of its user, up to twice the limit in total', async t => {
  const hub = new Hub()
  t.equal(hub.hasRoom('u1', 1), true)
  hub.add(fake('u1', true))
  t.equal(hub.hasRoom('u1', 1), true)
  hub.add(fake('u1', true))
  t.equal(hub.hasRoom('u1', 1), false)
  t.equal(hub.hasRoom('u1', 2), true)
  hub.add(fake('u1'))
  t.equal(hub.hasRoom('u1', 2), true)
  t.equal(hub.hasRoom('u1', 1), false)
  t.equal(hub.hasRoom('u2', 1), true)
  hub.add(fake('u2'))
  t.strictSame([hub.hasRoom('u2', 1), hub.hasRoom('u2', 2)], [false, true], 'no connection of u2 is ending')
})

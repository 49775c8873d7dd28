import { mock } from 'node:test'
import t from 'tap'
import type { Lease } from '../../../../lib/brokers/broker.js'
import { Keys } from '../../../../lib/brokers/redis/keys.js'
import { Leases } from '../../../../lib/brokers/redis/cluster/leases.js'
import { tellAgainAfter } from '../../../../lib/brokers/redis/cluster/members.js'
import { startLink } from '../../../redis-nodes.js'
import { RedisServer, skipRedis } from '../../../redis-server.js'
import { eventually } from '../../../waiting.js'

t.test('a lease is held by one node at a time', { skip: skipRedis }, async t => {
  const server = await RedisServer.start(t)
  const client = server.client(t)
  const { link, connection } = startLink(t, { url: server.url })
  await eventually(() => link.isReady)
  const keys = new Keys('t:')
  const [a, b] = ['a', 'b'].map(node => new Leases(link, keys, node))
  const later = () => performance.now() + tellAgainAfter
  const holder = (key: string) => client.hget(keys.shared('holders'), key)

  t.test('a node holds a lease until it releases the lease', async t => {
    const lease = (await a.hold('k', '{"x":1}'))!
    t.match(lease, { key: 'k', data: '{"x":1}' })
    t.equal(await b.hold('k', '{}'), undefined)
    t.equal(await a.hold('k', '{}'), undefined, 'the holder cannot hold it twice')
    await lease.release()
    await lease.release()
    t.ok(await b.hold('k', '{}'))
    t.equal(await holder('k'), 'b')
  })

  t.test('a release that failed is sent again later', async t => {
    const lease = (await a.hold('later', '{}'))!
    await a.look(later())
    const { evalsha } = connection
    connection.evalsha = (async () => { throw new Error('away') }) as unknown as typeof evalsha
    await lease.release()
    await t.rejects(a.hold('failed', '{}'), { message: 'away' })
    connection.evalsha = evalsha
    t.equal(await holder('later'), 'a')
    await a.look(later())
    t.strictSame([await holder('later'), await holder('failed')], [null, null])
    t.ok(await a.hold('failed', '{}'), 'a lease that could not be held can be held later')
  })

  t.test('recent holds and releases are sent again, because a failover may have lost them', async t => {
    const [kept, lost, released] = [(await a.hold('x', '{}'))!, (await a.hold('y', '{}'))!, (await a.hold('z', '{}'))!]
    await released.release()
    await client.hdel(keys.shared('holders'), 'x', 'y')
    await client.hset(keys.shared('holders'), 'y', 'b', 'z', 'a')
    await a.look()
    t.equal(await holder('x'), null, 'not at once, because the failover may not be over yet')
    await a.look(later())
    t.strictSame([await holder('x'), await holder('y'), await holder('z')], ['a', 'b', null])
    t.strictSame([kept.lost.aborted, lost.lost.aborted], [false, true])
    await client.hdel(keys.shared('holders'), 'x')
    await a.look(later())
    t.equal(await holder('x'), null, 'each change is sent again only once')
    await kept.release()
  })

  t.test('a lease released while it is being sent again is not lost, and its release is sent again later', async t => {
    const [released, taken] = [(await a.hold('m', '{}'))!, (await a.hold('n', '{}'))!]
    await client.hset(keys.shared('holders'), 'n', 'b')
    const looked = a.look(later())
    await Promise.all([looked, released.release(), taken.release()])
    t.strictSame([released.lost.aborted, taken.lost.aborted], [false, false])
    await client.hset(keys.shared('holders'), 'm', 'a')
    await a.look(later())
    t.equal(await holder('m'), null)
  })

  t.test('changes are sent again in the order in which they last happened', async t => {
    const first = (await a.hold('first', '{}'))!
    await a.hold('second', '{}')
    await first.release()
    await a.hold('first', '{}')
    const told = mock.method(connection, 'evalsha')
    t.teardown(() => told.mock.restore())
    await a.look(later())
    t.strictSame(told.mock.calls.flatMap(call => call.arguments as string[]).filter(part => /first|second/.test(part)), ['second', 'first'])
  })

  t.test('a renewal loses the leases that another node holds by now, and keeps the others', async t => {
    const [kept, taken] = [(await a.hold('kept', '{}'))!, (await a.hold('taken', '{}'))!]
    await client.hdel(keys.shared('holders'), 'kept')
    await client.hset(keys.shared('holders'), 'taken', 'b')
    await a.renew()
    t.strictSame([kept.lost.aborted, taken.lost.aborted], [false, true])
    t.equal(await holder('kept'), 'a')
    await taken.release()
    t.equal(await holder('taken'), 'b', 'a lost lease cannot be released')
  })

  t.test('after a node counted as dead, a renewal loses its leases that have no holder', async t => {
    const [kept, over] = [(await a.hold('kept2', '{}'))!, (await a.hold('over', '{}'))!]
    await client.hdel(keys.shared('holders'), 'over')
    await a.renew(true)
    t.strictSame([kept.lost.aborted, over.lost.aborted], [false, true])
    t.equal(await holder('over'), null)
    const again = (await a.hold('over', '{}'))!
    await over.release()
    t.equal(await holder('over'), 'a', 'the release of a lost lease does not release its successor')
    await again.release()
  })

  t.test('an inherited lease is held, and listeners get it until they unbind', async t => {
    const got: Lease[] = []
    t.equal(b.canInherit, false)
    const unbind = b.onInherited(lease => got.push(lease))
    t.equal(b.canInherit, true)
    await client.hset(keys.shared('holders'), 'inherited', 'b')
    b.inherit([['inherited', '{"y":1}']])
    t.match(got, [{ key: 'inherited', data: '{"y":1}' }])
    await got[0].release()
    t.equal(await holder('inherited'), null)
    unbind()
    t.equal(b.canInherit, false)
    b.inherit([['unheard', '{}']])
    t.equal(got.length, 1)
  })
  t.test('a lease inherited during a call of hold goes to the caller, and a recently released lease is not inherited', async t => {
    const got: Lease[] = []
    t.teardown(a.onInherited(lease => got.push(lease)))
    await client.hset(keys.shared('holders'), 'asked', 'dead')
    const asked = a.hold('asked', '{}')
    a.inherit([['asked', '{}']])
    t.match(await asked, { key: 'asked' })
    await (await a.hold('over again', '{}'))!.release()
    a.inherit([['over again', '{}']])
    t.strictSame(got, [])
  })
})

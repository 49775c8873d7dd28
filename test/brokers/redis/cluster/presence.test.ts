import { mock } from 'node:test'
import t from 'tap'
import { Keys } from '../../../../lib/brokers/redis/keys.js'
import { tellAgainAfter } from '../../../../lib/brokers/redis/cluster/members.js'
import { Presences } from '../../../../lib/brokers/redis/cluster/presence.js'
import { startLink } from '../../../redis-nodes.js'
import { RedisServer, skipRedis } from '../../../redis-server.js'
import { eventually, loopTurns } from '../../../waiting.js'

t.test('connections of a user are counted on all nodes', { skip: skipRedis }, async t => {
  const server = await RedisServer.start(t)
  const client = server.client(t)
  const { link, connection } = startLink(t, { url: server.url })
  await eventually(() => link.isReady)
  const keys = new Keys('t:')
  const silent: string[] = []
  /** `asked`: nodes of each call of `isOneSilent`. `dying`: nodes that fall silent, one with each call. */
  const asked: string[][] = []
  const dying: string[] = []
  let onAsked = () => {}
  const make = (id: string) => new Presences(link, keys, {
    id,
    alive: ['a', 'b'],
    silent,
    async isOneSilent (nodes) {
      asked.push([...nodes].sort())
      onAsked()
      silent.push(...dying.splice(0, 1))
      return silent.some(node => nodes.includes(node))
    }
  })
  const [a, b] = [make('a'), make('b')]
  const later = () => performance.now() + tellAgainAfter
  const ids = async (userId: string) => (await a.present(userId)).map(({ connectionId }) => connectionId).sort()

  t.test('enter accepts connections up to the limit of all nodes together', async t => {
    const entered = await Promise.all([a.enter('ada', '1', 3), b.enter('ada', '2', 3), a.enter('ada', '3', 3), b.enter('ada', '4', 3)])
    t.strictSame(entered, [true, true, true, false])
    await b.renew()
    t.strictSame(await ids('ada'), ['1', '2', '3'], 'a renewal does not enter a refused connection')
    a.leave('ada', '3')
    await eventually(async () => (await ids('ada')).length === 2)
    t.equal(await b.enter('ada', '4', 3), true)
  })

  t.test('a connection that leaves while it is being entered is not entered', async () => {
    const entering = a.enter('eve', 'e1', 3)
    a.leave('eve', 'e1')
    await entering
    await eventually(async () => (await ids('eve')).length === 0)
  })

  t.test('a connection that leaves while other nodes are waited for is not entered', async t => {
    await b.enter('ivy', 'i1', 1)
    dying.push('b')
    onAsked = () => a.leave('ivy', 'i2')
    await a.enter('ivy', 'i2', 1)
    onAsked = () => {}
    silent.length = 0
    t.strictSame(await ids('ivy'), ['i1'])
  })

  t.test('connections of a dead node do not count', async t => {
    const silent = Date.now() - 20_000
    await client.hset(keys.presence('bob'), 'x', `dead ${silent}`, 'y', `a ${silent}`, 'z', `new ${Date.now()}`)
    t.strictSame(await ids('bob'), ['y', 'z'], 'a node that has just started may not be known here yet')
    await client.hset(keys.presence('bob'), 'old', `dead ${Date.now() - 700_000}`)
    await a.enter('bob', 'b1', 10)
    t.strictSame((await client.hkeys(keys.presence('bob'))).sort(), ['b1', 'x', 'y', 'z'], 'an entry expires 10 min after its renewal')
  })

  t.test('at the limit, the connections of a node that is silent or falls silent do not count', async t => {
    for (const [node, id] of [[a, 'l1'], [b, 'l2'], [b, 'l3']] as const) t.equal(await node.enter('lea', id, 3), true)
    asked.length = 0
    t.equal(await a.enter('lea', 'l4', 3), false, 'both nodes are alive')
    t.strictSame(asked, [['a', 'b', 'b']])
    dying.push('b')
    t.equal(await a.enter('lea', 'l4', 3), true)
    t.equal(await a.enter('lea', 'l5', 3), true, 'enter does not wait for a node that is already silent')
    t.equal(asked.length, 2)
    t.equal(await a.enter('lea', 'l6', 3), false)
    t.strictSame(await ids('lea'), ['l1', 'l2', 'l3', 'l4', 'l5'], 'a silent node keeps its connections, because it may return')
    silent.length = 0
    t.equal(await b.enter('lea', 'l7', 5), false, 'the connections of a node that returned count again')
  })

  t.test('connections that Redis lost are entered again, and failed removals are sent again', async t => {
    await a.enter('mia', 'm1', 3)
    await a.enter('mia', 'm2', 3)
    const { hdel } = connection
    connection.hdel = async () => { throw new Error('away') }
    a.leave('mia', 'm2')
    await loopTurns()
    connection.hdel = hdel
    t.strictSame(await ids('mia'), ['m1', 'm2'])
    await a.look(later())
    await eventually(async () => (await ids('mia')).join() === 'm1')
    await client.flushall()
    await a.renew()
    t.strictSame(await ids('mia'), ['m1'])
    t.strictSame(await ids('ada'), ['1'])
  })

  t.test('recent entries and removals are sent again, because a failover may have lost them', async t => {
    await a.enter('kim', 'k1', 3)
    await a.look(later())
    await a.enter('kim', 'k2', 3)
    a.leave('kim', 'k1')
    await eventually(async () => (await ids('kim')).join() === 'k2')
    await client.del(keys.presence('kim'))
    await client.hset(keys.presence('kim'), 'k1', `a ${Date.now()}`)
    await a.look()
    t.strictSame(await ids('kim'), ['k1'], 'not at once, because the failover may not be over yet')
    await a.look(later())
    t.strictSame(await ids('kim'), ['k2'])
    await client.del(keys.presence('kim'))
    await a.look(later())
    t.strictSame(await ids('kim'), [], 'each change is sent again only once')
    a.leave('kim', 'k2')
  })

  t.test('a failed call of enter leaves no entry', async t => {
    const { evalsha } = connection
    connection.evalsha = (async () => { throw new Error('away') }) as unknown as typeof evalsha
    await t.rejects(a.enter('zoe', 'z1', 3), { message: 'away' })
    connection.evalsha = evalsha
    await a.renew()
    t.strictSame(await ids('zoe'), [])
  })

  t.test('entries are renewed 200 s after the last renewal, and with the next look after a failed renewal', async t => {
    const c = make('a')
    await c.enter('ren', 'r1', 3)
    const lose = () => client.del(keys.presence('ren'))
    const renewedAt = performance.now()
    await c.renew()
    await c.look(later())
    await lose()
    await c.look(renewedAt + 200_000)
    t.strictSame(await ids('ren'), [])
    await c.look(performance.now() + 200_001)
    t.strictSame(await ids('ren'), ['r1'])
    await lose()
    const away = mock.method(connection, 'evalsha', async () => { throw new Error('away') })
    await c.renew()
    away.mock.restore()
    await c.look()
    t.strictSame(await ids('ren'), ['r1'])
    await c.close()
  })

  t.test('a connection that leaves during a renewal is removed, even when the script has to be sent again', async t => {
    await a.enter('flo', 'f1', 3)
    await client.script('FLUSH')
    const renewed = a.renew()
    a.leave('flo', 'f1')
    await renewed
    t.strictSame(await ids('flo'), [])
  })

  t.test('a connection entered shortly before a renewal is still sent again after it', async t => {
    await a.enter('gil', 'g1', 3)
    await a.renew()
    await client.del(keys.presence('gil'))
    await a.look(later())
    t.strictSame(await ids('gil'), ['g1'])
  })

  t.test('concurrent calls of look send each change once', async t => {
    await a.look(later())
    await a.enter('hal', 'h1', 3)
    const told = mock.method(connection, 'evalsha')
    t.teardown(() => told.mock.restore())
    await Promise.all([a.look(later()), a.look(later())])
    t.equal(told.mock.callCount(), 1)
  })

  t.test('at most 20,000 changes are sent again', async t => {
    const { hdel } = connection
    let told = 0
    connection.hdel = async () => ++told
    t.teardown(() => { connection.hdel = hdel })
    const c = make('a')
    for (let n = 0; n <= 20_000; n++) c.leave('many', String(n))
    told = 0
    await c.look(later())
    t.equal(told, 20_000)
  })

  t.test('close removes every connection of this node, even after a failed removal, and a later renewal adds none again', async t => {
    await a.enter('mia', 'm3', 3)
    const away = mock.method(connection, 'hdel', async () => { throw new Error('away') })
    a.leave('mia', 'm3')
    away.mock.restore()
    t.strictSame(await ids('mia'), ['m1', 'm3'])
    await a.close()
    await b.close()
    await a.renew()
    t.strictSame([await ids('ada'), await ids('mia')], [[], []])
  })
})

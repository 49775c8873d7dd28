import { mock } from 'node:test'
import t from 'tap'
import { MemoryBroker, errors, type Broker, type ChatAddress } from '../lib/index.js'
import { connect, start } from './harness.js'

const path = '/ws/notifications/u1'

t.test('disconnectUser closes all connections of a user and no other, and isOnline, connections and stats agree', async t => {
  const { app, url } = await start(t)
  const clients = await Promise.all([connect(t, url + path), connect(t, `${url}/ws/w/a/c/u1`), connect(t, `${url}/ws/notifications/u2`)])
  t.equal(app.ws.connections().length, 3)
  t.strictSame(app.ws.connections('u1').map(connection => connection.target.kind).toSorted(), ['chat', 'notifications'])
  t.match(app.ws.stats(), { connections: 3, users: 2, channels: 4 })
  t.throws(() => app.ws.disconnectUser('u1', 1006), { code: 'RT_ERR_UNKNOWN_CLOSE_CODE' })
  t.throws(() => app.ws.connections('u1')[0].close(4999), { code: 'RT_ERR_UNKNOWN_CLOSE_CODE' })
  t.equal(app.ws.disconnectUser('u1'), 2)
  t.equal(app.ws.disconnectUser('nobody'), 0)
  t.equal((await clients[0].close()).code, 4403)
  t.equal((await clients[1].close()).code, 4403)
  t.equal(app.ws.isOnline('u1'), false)
  t.equal(app.ws.isOnline('u2'), true)
})

t.test('a send to an invalid id, or on a closed server, is refused', async t => {
  const { app } = await start(t)
  await t.rejects(app.ws.sendToUser('a/b', { type: 'x' }), { code: 'RT_ERR_INVALID_ID' })
  await t.rejects(app.ws.sendToUser(undefined as unknown as string, { type: 'x' }), { code: 'RT_ERR_INVALID_ID' })
  t.throws(() => app.ws.chat({ workflow: 'notifications', appId: 'a', chatId: 'c', userId: 'u' }), { code: 'RT_ERR_INVALID_ID' })
  const inSnakeCase = { workflow: 'w', app_id: 'a', chat_id: 'c', user_id: 'u' } as unknown as ChatAddress
  t.throws(() => app.ws.chat(inSnakeCase), { code: 'RT_ERR_INVALID_ID', message: /there is 'app_id', 'chat_id', 'user_id': write 'appId', 'chatId', 'userId'/ })
  t.throws(() => app.ws.chat(undefined as unknown as ChatAddress), { code: 'RT_ERR_INVALID_ID' })
  await app.close()
  await t.rejects(app.ws.sendToUser('u1', { type: 'x' }), { code: 'RT_ERR_CLOSING' })
})

t.test('a message that does not match its schema is refused, and nothing is sent', async t => {
  const { app, url } = await start(t)
  const client = await connect(t, url + path)
  const wrong = { type: 'notification', data: { titel: 'x' } } as unknown as { type: 'notification', data: { title: string } }
  await t.rejects(app.ws.sendToUser('u1', wrong), { code: 'RT_ERR_INVALID_MESSAGE', statusCode: 400, message: /title/ })
  await t.rejects(app.ws.broadcast(wrong), { code: 'RT_ERR_INVALID_MESSAGE' })
  const { id, timestamp } = await app.ws.sendToUser('u1', { type: 'notification', data: { title: 'x' } })
  t.match(await client.next(), { id, timestamp })
  t.match(id, /^u\.[a-z0-9]+\.1$/)
})

t.test('a send rejects with an error of this package for any value that the broker rejects with', async t => {
  const failures = [new Error('of the engine'), 'a string', undefined, new errors.CLOSING()]
  const broker: Broker = new MemoryBroker({ size: 1, ttl: 1, bytes: 1, lag: 1 })
  broker.publish = async () => { throw failures[0] }
  const { app } = await start(t, { broker })
  await t.rejects(app.ws.sendToUser('u1', { type: 'x' }), { code: 'RT_ERR_BROKER', statusCode: 503, message: /of the engine/ })
  failures.shift()
  await t.rejects(app.ws.broadcast({ type: 'x' }), { code: 'RT_ERR_BROKER', message: /a string/ })
  failures.shift()
  await t.rejects(app.ws.broadcast({ type: 'x' }), { code: 'RT_ERR_BROKER' })
  failures.shift()
  await t.rejects(app.ws.broadcast({ type: 'x' }), { code: 'RT_ERR_CLOSING' })
})

t.test('a send rejects with RT_ERR_BROKER when the broker does not answer within 2 s', async t => {
  const broker: Broker = new MemoryBroker({ size: 1, ttl: 1, bytes: 1, lag: 1 })
  broker.publish = () => new Promise(() => {})
  const { app } = await start(t, { broker })
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  const sent = app.ws.sendToUser('u1', { type: 'x' })
  mock.timers.tick(2_000)
  await t.rejects(sent, { code: 'RT_ERR_BROKER', message: /2000 ms/ })
})

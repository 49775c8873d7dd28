import { Type } from '@sinclair/typebox'
import t from 'tap'
import { redisBroker } from '../lib/brokers/redis.js'
import { createPublisher } from '../lib/publisher.js'
import { connect, start } from './harness.js'
import { RedisServer, skipRedis } from './redis-server.js'

t.test('a process without Fastify sends as an app does', { skip: skipRedis }, async t => {
  const server = await RedisServer.start(t)
  const messages = { order_packed: Type.Object({ order_id: Type.String() }) }
  const { url } = await start(t, { broker: redisBroker({ url: server.url }), messages })
  const publisher = createPublisher({ client: server.client(t), messages })
  t.teardown(() => publisher.close())
  const ada = await connect(t, `${url}/ws/notifications/ada`)
  const chat = await connect(t, `${url}/ws/support/shop/c1/ada`)

  const sent = await publisher.sendToUser('ada', { type: 'order_packed', data: { order_id: 'o1' } })
  t.match(await ada.next('order_packed'), { id: sent.id, timestamp: sent.timestamp, data: { order_id: 'o1' } })
  const told = await publisher.broadcast({ type: 'system_announcement', message: 'soon' })
  t.match(await ada.next('system_announcement'), { id: told.id, message: 'soon' })
  const address = { workflow: 'support', appId: 'shop', chatId: 'c1', userId: 'ada' }
  const said = await publisher.chat(address).send({ type: 'chat_message', data: { content: 'hi', agent: 'a' } })
  t.match(await chat.next('chat_message'), { id: said.id, data: { content: 'hi' } })

  await t.rejects(publisher.sendToUser('a b', { type: 'x' }), { code: 'RT_ERR_INVALID_ID' })
  await t.rejects(publisher.sendToUser('ada', { type: 'order_packed', data: { order_id: 1 } } as never), { code: 'RT_ERR_INVALID_MESSAGE' })
  t.throws(() => publisher.chat({ ...address, workflow: 'notifications' }), { code: 'RT_ERR_INVALID_ID' })
  await publisher.close()
  await t.rejects(publisher.broadcast({ type: 'x' }), { code: 'RT_ERR_CLOSING' })
})

t.test('without Redis it says so', async t => {
  const publisher = createPublisher({ url: 'redis://127.0.0.1:1' })
  t.teardown(() => publisher.close())
  const start = performance.now()
  await t.rejects(publisher.broadcast({ type: 'x' }), { code: 'RT_ERR_BROKER' })
  const ms = performance.now() - start
  t.ok(ms < 2_000, `after ${Math.round(ms)} ms`)
  t.throws(() => createPublisher({}), { code: 'RT_ERR_OPTIONS' })
})

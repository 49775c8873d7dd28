import { once } from 'node:events'
import { inspect } from 'node:util'
import { Type } from '@sinclair/typebox'
import t from 'tap'
import { defineChannel } from '../lib/index.js'
import { redisBroker } from '../lib/redis.js'
import { createPublisher } from '../lib/publisher.js'
import { connect, start } from './harness.js'
import { RedisServer, skipRedis } from './redis-server.js'
import { eventually } from './waiting.js'

t.test('a publisher without Fastify sends to users, to all and to chats as an app does', { skip: skipRedis }, async t => {
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

t.test('a publisher publishes to channels of the app, checks their messages and removes users', { skip: skipRedis }, async t => {
  const { url } = await RedisServer.start(t)
  const messages = { card_moved: Type.Object({ card: Type.String() }) }
  const board = defineChannel({ authorize: () => true, messages, history: { size: 5 } })
  const { url: appUrl } = await start(t, { broker: redisBroker({ url }), channels: { board } })
  const publisher = createPublisher({ url, channels: { board } })
  t.teardown(() => publisher.close())
  const ada = await connect(t, `${appUrl}/ws/notifications/ada`)
  ada.send({ type: 'subscribe', data: { channels: [{ channel: 'board:b1' }] } })
  await ada.next('subscribed')
  const channel = publisher.channel('board', 'b1')
  const sent = await channel.send({ type: 'card_moved', data: { card: 'c1' } })
  t.match(await ada.next('card_moved'), { id: sent.id, channel: 'board:b1', data: { card: 'c1' } })
  await t.rejects(channel.send({ type: 'card_moved', data: {} } as never), { code: 'RT_ERR_INVALID_MESSAGE' })
  await channel.remove('ada')
  await channel.send({ type: 'card_moved', data: { card: 'c2' } })
  t.match(await ada.next('unsubscribed'), { channel: 'board:b1', data: { reason: 'removed' } })
  ada.send({ type: 'ping', ref: 1 })
  t.match(await ada.next(), { type: 'pong' }, 'nothing that was published after the removal')

  t.throws(() => publisher.channel('bord' as never, 'b1'), { code: 'RT_ERR_UNKNOWN_KIND' })
  t.throws(() => publisher.channel('board', 'b 1'), { code: 'RT_ERR_INVALID_ID' })
  t.throws(() => createPublisher({ url, channels: { Board: board } }), { code: 'RT_ERR_OPTIONS', message: /'Board'/ })
  t.throws(() => createPublisher({ url, channels: { board: {} as never } }), { code: 'RT_ERR_OPTIONS', message: /authorize/ })
})

t.test('a publisher with smaller limits does not trim the channels of a server', { skip: skipRedis }, async t => {
  const { url } = await RedisServer.start(t)
  const { app, url: appUrl } = await start(t, { broker: redisBroker({ url, history: { size: 1_000 }, chat: { size: 2_000 } }) })
  const publisher = createPublisher({ url, history: { size: 1 }, chat: { size: 1 } })
  t.teardown(() => publisher.close())
  const chat = { workflow: 'w', appId: 'a', chatId: 'c', userId: 'ada' }
  for (let n = 0; n < 300; n++) await Promise.all([app.ws.sendToUser('ada', { type: 'n' }), app.ws.chat(chat).send({ type: 'n' })])
  await publisher.sendToUser('ada', { type: 'last' })
  await publisher.chat(chat).send({ type: 'last' })
  const client = await connect(t, `${appUrl}/ws/notifications/ada?since=0`)
  t.match(client.ack.data, { recovered: true, replayed: 301 })
  const late = await connect(t, `${appUrl}/ws/w/a/c/ada`)
  t.match(late.ack.data, { replayed: 301 })
})

t.test('without Redis a publisher rejects with RT_ERR_BROKER within 2 s', async t => {
  const publisher = createPublisher({ url: 'redis://127.0.0.1:1' })
  t.teardown(() => publisher.close())
  const start = performance.now()
  await t.rejects(publisher.broadcast({ type: 'x' }), { code: 'RT_ERR_BROKER' })
  const ms = performance.now() - start
  t.ok(ms < 2_000, `after ${Math.round(ms)} ms`)
  t.throws(() => createPublisher({}), { code: 'RT_ERR_OPTIONS' })
})

t.test('a publisher logs each failure of Redis with the cause, and its end', { skip: skipRedis }, async t => {
  const server = await RedisServer.start(t)
  const admin = server.client(t)
  await admin.call('ACL', 'SETUSER', 'worker', 'on', '>s3cr3t', '~*', '+@all', 'resetchannels')
  const lines: string[] = []
  const write = (fields: object, message: string) => { lines.push(`${message} ${inspect(fields, { depth: 10 })}`) }
  const publisher = createPublisher({ url: `redis://worker:s3cr3t@127.0.0.1:${server.port}`, log: { error: write, warn: write, info: write } })
  t.teardown(() => publisher.close())
  await eventually(() => publisher.sendToUser('ada', { type: 'note', data: { text: 's3cr3t' } }).then(() => true, () => false))
  await eventually(() => lines.length > 0)
  t.match(lines[0], /^realtime: Redis refuses PUBLISH: .*ACL SETUSER <user> &realtime:\*/)
  await admin.call('ACL', 'SETUSER', 'worker', '&*')
  await publisher.broadcast({ type: 'note' })
  t.match(lines[1], /^realtime: Redis: PUBLISH works again/)

  await server.kill()
  await t.rejects(publisher.broadcast({ type: 'note' }), { code: 'RT_ERR_BROKER', message: /ECONNREFUSED .*start Redis/, cause: { message: /ECONNREFUSED/ } })
  t.match(lines[2], /^realtime: Redis cannot be used: .*ECONNREFUSED/)
  t.notMatch(lines.join(), 's3cr3t')
})

t.test('without the option log, failures become process warnings', async t => {
  const warned = once(process, 'warning')
  const publisher = createPublisher({ url: 'redis://127.0.0.1:1' })
  t.teardown(() => publisher.close())
  const [warning] = await warned
  t.match(warning, { name: 'RealtimeWarning', message: /^realtime: Redis cannot be used: .*ECONNREFUSED/ })
})

t.test('an address that is invalid, or whose database is not a number, is refused, and the error does not show it', async t => {
  for (const url of ['redis://:s3cr3t@localhost:abc', 'redis://u:s3cr3t%zz@localhost', 'redis://:s3cr3t@localhost/first', 's3cr3t']) {
    const error = t.throws(() => createPublisher({ url }), { code: 'RT_ERR_OPTIONS' }, url)
    t.notMatch(inspect(error, { depth: 10 }), 's3cr3t')
  }
})

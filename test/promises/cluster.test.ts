import { Type } from '@sinclair/typebox'
import t from 'tap'
import { redisBroker } from '../../lib/redis.js'
import type { RealtimeOptions } from '../../lib/index.js'
import { connect, start } from '../harness.js'
import { eventually, loopTurns } from '../waiting.js'
import { RedisServer, skipRedis } from '../redis-server.js'

type Test = Parameters<typeof start>[0]

const path = '/ws/w/a/c/u'
const target = { workflow: 'w', appId: 'a', chatId: 'c', userId: 'u' }

/** `count` servers of one app. */
async function nodes (t: Test, count: number, options: RealtimeOptions = {}) {
  const { url } = await RedisServer.start(t)
  return Promise.all(Array.from({ length: count }, () => start(t, { broker: redisBroker({ url }), ...options })))
}

t.test('presence, delivery, the connection limit and disconnectUser of a user span all servers', { skip: skipRedis }, async t => {
  const [a, b] = await nodes(t, 2, { limits: { connectionsPerUser: 2 } })
  const first = await connect(t, `${a.url}/ws/notifications/u`)
  t.equal(await b.app.ws.isOnline('u'), true)
  t.equal(await b.app.ws.isOnline('v'), false)
  const [connection] = a.app.ws.connections('u')
  t.strictSame(await b.app.ws.present('u'), [{ id: connection.id, userId: 'u' }])

  await b.app.ws.sendToUser('u', { type: 'hello' })
  await first.next('hello')

  const second = await connect(t, `${b.url}/ws/notifications/u`)
  t.equal((await b.app.ws.present('u')).length, 2)
  await t.rejects(connect(t, `${b.url}/ws/notifications/u`), /4429/)
  t.equal(b.app.ws.disconnectUser('u'), 1)
  t.equal((await first.close()).code, 4403)
  t.equal((await second.close()).code, 4403)
  await eventually(() => a.app.ws.stats().connections + b.app.ws.stats().connections === 0)
})

t.test('a message with the same ref is handled once, also when it reaches two servers', { skip: skipRedis }, async t => {
  let handled = 0
  const [a, b] = await nodes(t, 2, { onMessage: { vote () { handled++ }, fail () { handled++; throw new Error('no') } } })
  for (const type of ['vote', 'fail']) {
    const answers = []
    for (const { url } of [a, b]) {
      const client = await connect(t, `${url}/ws/notifications/u`)
      client.send({ type, ref: `r-${type}` })
      answers.push(await client.next(type === 'vote' ? 'ack' : 'error'))
    }
    t.match(answers, [{ ref: `r-${type}` }, { ref: `r-${type}` }])
  }
  t.equal(handled, 2)
})

t.test('runs, questions and cancels of a chat work across servers', { skip: skipRedis }, async t => {
  const order: string[] = []
  const [a, b] = await nodes(t, 2, {
    chat: {
      async onMessage (run, { content }) {
        order.push(`${content} starts`)
        if (content === 'ask') {
          const answer = await run.ask({ prompt: '?', schema: Type.Object({ ok: Type.Boolean() }) })
          order.push(`answered ${JSON.stringify(answer)}`)
        }
        if (content === 'wait') await new Promise(resolve => run.signal.addEventListener('abort', resolve))
        order.push(`${content} ends`)
      }
    }
  })
  const phone = await connect(t, a.url + path)
  const laptop = await connect(t, b.url + path)

  phone.send({ type: 'chat_message', ref: 'm1', data: { content: 'ask' } })
  const request = await laptop.next('input_request')
  laptop.send({ type: 'chat_message', ref: 'm2', data: { content: 'after' } })
  laptop.send({ type: 'chat_message', ref: 'm1', data: { content: 'ask' } })
  laptop.send({ type: 'input_response', ref: 'bad', data: { request_id: request.data!.request_id, value: 1 } })
  t.match(await laptop.next('error'), { ref: 'bad', data: { code: 'bad_value' } })
  laptop.send({ type: 'input_response', ref: 'good', data: { request_id: request.data!.request_id, value: { ok: true } } })
  t.match(await phone.next('input_closed'), { data: { reason: 'answered', user_id: 'u' } })
  t.match(await phone.next('run_finished'), { data: { message_id: 'm1', status: 'complete' } })
  t.match(await phone.next('run_finished'), { data: { message_id: 'm2', status: 'complete' } })
  t.strictSame(order, ['ask starts', 'answered {"ok":true}', 'ask ends', 'after starts', 'after ends'])

  phone.send({ type: 'chat_message', ref: 'm3', data: { content: 'wait' } })
  await laptop.next('run_started')
  while ((await laptop.next('run_started')).data!.message_id !== 'm3');
  laptop.send({ type: 'chat_cancel', ref: 'c', data: { ref: 'm3' } })
  t.match(await phone.next('run_finished'), { data: { message_id: 'm3', status: 'cancelled' } })

  laptop.send({ type: 'input_response', ref: 'late', data: { request_id: request.data!.request_id, value: { ok: true } } })
  t.match(await laptop.next('error'), { ref: 'late', data: { code: 'input_closed' } })
})

t.test('a device on another server gets all messages of a chat and its long answer in at most 12 frames', { skip: skipRedis }, async t => {
  const [a, b] = await nodes(t, 2)
  const before = a.app.ws.chat(target)
  for (let n = 0; n < 5; n++) await before.send({ type: 'chat_message', data: { message_id: `u${n}`, role: 'user', content: `${n}` } })
  const run = before.start(() => new Promise(() => {}))
  const reply = run.reply()
  for (let n = 0; n < 300; n++) {
    reply.write(`token ${n} `)
    await loopTurns()
  }
  const text = Array.from({ length: 300 }, (_, n) => `token ${n} `).join('')
  // Some deltas are still in flight.
  const first = await connect(t, a.url + path)
  let shown = ''
  const follow = async (client: typeof first) => {
    shown = ''
    while (shown !== text) {
      const { type, data } = await client.next() as any
      if (type === 'chat_message' && data.message_id === reply.id) shown = data.content
      if (type === 'chat_delta') shown = shown.slice(0, data.at) + data.text
    }
  }
  await follow(first)
  const second = await connect(t, b.url + path)
  await follow(second)
  t.equal(second.received.filter(({ type, data }: any) => type === 'chat_message' && data.role === 'user').length, 5)
  t.ok(second.received.length <= 12, `${second.received.length} frames`)
})

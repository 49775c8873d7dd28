import t from 'tap'
import { redisBroker } from '../../lib/redis.js'
import { createPublisher } from '../../lib/publisher.js'
import { as, authenticateByHeader, connect, start } from '../harness.js'
import { RedisServer, skipRedis } from '../redis-server.js'
import { loopTurns } from '../waiting.js'

/** Duration of the flood, in ms. Without `FULL=1` the flood ends after this number of messages over the quota. */
const isFull = process.env.FULL === '1'
const floodTime = isFull ? 600_000 : 60_000
const enoughRefused = isFull ? Infinity : 100

const mib = 1024 * 1024
const text = 'x'.repeat(60_000)

t.test('a user who floods many chats neither fills Redis nor blocks the messages of other users', { skip: skipRedis }, async t => {
  const redis = await RedisServer.start(t, ['--maxmemory', '200mb', '--maxmemory-policy', 'noeviction'])
  const client = redis.client(t)
  const { app, url } = await start(t, {
    broker: redisBroker({ url: redis.url }),
    authenticate: authenticateByHeader,
    chat: { onMessage () {} },
    // At the default rate, filling the quota takes minutes.
    limits: isFull ? {} : { userRate: 10_000, userBurst: 10_000 }
  })
  const used = async () => Number(/used_memory:(\d+)/.exec(await client.info('memory'))![1])
  const counts: Record<string, number> = {}
  let chats = 0
  let most = 0
  const others: unknown[] = []

  const end = performance.now() + floodTime
  const isOver = () => performance.now() > end || counts.over_quota > enoughRefused

  /** Opens one chat after another, and sends 30 messages at once to each. */
  async function flood (): Promise<void> {
    while (!isOver()) {
      const chat = `c${chats++}`
      const socket = await connect(t, `${url}/ws/w/a/${chat}/ada`, as('ada'))
      for (let n = 0; n < 30; n++) socket.send({ type: 'chat_message', ref: `r${n}`, data: { content: text } })
      await socket.until(() => socket.received.filter(({ type }) => type === 'ack' || type === 'error').length >= 30, floodTime)
      for (const { type, data } of socket.received) {
        const answer = type === 'error' ? (data as { code: string }).code : type
        counts[answer] = (counts[answer] ?? 0) + 1
      }
      socket.socket.terminate()
    }
  }

  const floods = Promise.all(Array.from({ length: 8 }, () => flood()))
  while (!isOver()) {
    most = Math.max(most, await used())
    await app.ws.sendToUser('bob', { type: 'note' }).catch(error => others.push(error))
    await app.ws.broadcast({ type: 'note' }).catch(error => others.push(error))
    // The interval of the messages to other users.
    await new Promise(resolve => setTimeout(resolve, 100))
  }
  await floods
  most = Math.max(most, await used())
  t.strictSame(others, [], 'all messages to other users are stored')
  t.ok(most < 100 * mib, `Redis had ${Math.round(most / mib)} MiB at most, of ${chats} chats`)
  t.ok(counts.ack > 100, JSON.stringify(counts))
  t.ok(counts.over_quota > 50, JSON.stringify(counts))
  const bob = await connect(t, `${url}/ws/w/a/c/bob`, as('bob'))
  bob.send({ type: 'chat_message', ref: 'hello', data: { content: text } })
  await bob.next('run_finished')
})

t.test('the quota of a user also limits messages that an app and a publisher send to the user', { skip: skipRedis }, async t => {
  const { url } = await RedisServer.start(t)
  const lines: string[] = []
  const stored = 2 * mib
  const limits = { stored, message: mib }
  const { app } = await start(t, { broker: redisBroker({ url }), limits }, { logger: { level: 'error', stream: { write: line => lines.push(line) } } })
  const publisher = createPublisher({ url, stored })
  t.teardown(() => publisher.close())
  await app.ws.broadcast({ type: 'note' })
  for (const send of [app.ws, publisher]) {
    const outcomes = await Promise.allSettled(Array.from({ length: 40 }, () => send.sendToUser('ada', { type: 'big', data: { text } })))
    const refused = outcomes.filter(({ status }) => status === 'rejected') as PromiseRejectedResult[]
    t.equal(refused.length, 40 - Math.floor(stored / 60_200))
    for (const { reason } of refused) t.match(reason, { code: 'RT_ERR_OVER_QUOTA', statusCode: 429, message: /raise the limit/ })
    await send.sendToUser('bob', { type: 'big', data: { text } })
    for (let n = 0; n < 40; n++) await send.broadcast({ type: 'big', data: { text } })
  }
  t.equal(lines.filter(line => line.includes("'limits.stored'") && line.includes('ada')).length, 1, 'the refusals are logged once')
})

t.test('with Redis, a limits.message above limits.stored is refused at register', { skip: skipRedis }, async t => {
  await t.rejects(start(t, { broker: redisBroker({ url: 'redis://127.0.0.1:1' }), limits: { stored: 1_000 } }), { code: 'RT_ERR_OPTIONS', message: /limits.message.*limits.stored/ })
  await t.rejects(start(t, { limits: { stored: 0 } }), { code: 'RT_ERR_OPTIONS' })
  await start(t, { limits: { stored: 1_000 } })
})

t.test('a run that exceeds the quota continues when the quota has room again, and its text is complete', { skip: skipRedis }, async t => {
  const { url: redis } = await RedisServer.start(t)
  const words = Array.from({ length: 120 }, (_, n) => `${n} ${'word '.repeat(60)}`)
  const lines: string[] = []
  const { url } = await start(t, {
    broker: redisBroker({ url: redis, chat: { ttl: 4_000 } }),
    limits: { stored: 60_000, message: 50_000 },
    chat: {
      async onMessage (run) {
        const reply = run.reply()
        for (const word of words) {
          reply.write(word)
          // Simulates a model that is fast, so that the quota has no room on a slow machine either, and then slow: its first deltas expire.
          await (lines.length === 0 ? loopTurns() : new Promise(resolve => setTimeout(resolve, 5)))
        }
        await reply.end()
      }
    }
  }, { logger: { level: 'error', stream: { write: line => lines.push(line) } } })
  const ada = await connect(t, `${url}/ws/w/a/c/ada`)
  ada.send({ type: 'chat_message', ref: 'r', data: { content: 'hello' } })
  await ada.next('run_finished')
  const last = ada.received.findLast(({ type }) => type === 'chat_message')!
  t.match(last.data, { status: 'complete', content: words.join('') })
  t.equal(lines.filter(line => line.includes("'limits.stored'")).length, 1)
  t.equal(lines.length, 1, 'nothing else is logged')
})

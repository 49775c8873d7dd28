import t from 'tap'
import type { Broker, Run } from '../../lib/index.js'
import { MemoryBroker } from '../../lib/index.js'
import { createPublisher } from '../../lib/publisher.js'
import { start } from '../harness.js'
import { loopTurns } from '../waiting.js'

const unhandled: unknown[] = []
process.on('unhandledRejection', error => unhandled.push(error))

interface Line { level: number, code?: string, msg: string }

function logger () {
  const lines: Line[] = []
  const stream = { write: (line: string) => { lines.push(JSON.parse(line)) } }
  return { lines, options: { logger: { level: 'warn', stream } } }
}

const wrong = { type: 'notification', data: {} } as never
const target = { workflow: 'w', appId: 'a', chatId: 'c', userId: 'u1' }

t.test('a call that fails without being awaited is logged once at warn with its code, and no rejection is unhandled', async t => {
  const { lines, options } = logger()
  const { app } = await start(t, {}, options)
  const chat = app.ws.chat(target)
  const calls: Record<string, () => unknown> = {
    sendToUser: () => app.ws.sendToUser('u1', wrong),
    'sendToUser with a wrong id': () => app.ws.sendToUser('a b', { type: 'x' }),
    broadcast: () => app.ws.broadcast(wrong),
    'chat.send': () => chat.send(wrong),
    'run.send': () => chat.start(run => { run.send(wrong) })
  }
  for (const [name, call] of Object.entries(calls)) {
    lines.length = 0
    call()
    await loopTurns(10)
    t.strictSame(lines.map(({ level }) => level), [40], name)
    t.match(lines[0], { code: /^RT_ERR_INVALID_(MESSAGE|ID)$/, msg: /nothing handles the rejection/ }, name)
  }
  t.strictSame(unhandled, [])
})

t.test('a broker failure is logged when the call is not awaited, and rejects the call without a log line when it is', async t => {
  const { lines, options } = logger()
  const broker: Broker = new MemoryBroker({ size: 1, ttl: 1, bytes: 10_000, lag: 1 })
  broker.publish = async () => { await loopTurns(1); throw new Error('the store is away') }
  const { app } = await start(t, { broker }, options)
  app.ws.sendToUser('u1', { type: 'x' })
  await loopTurns(10)
  t.match(lines, [{ level: 40, code: 'RT_ERR_BROKER', msg: /the store is away/ }])
  t.equal(lines.length, 1)
  await t.rejects(app.ws.sendToUser('u1', { type: 'x' }), { code: 'RT_ERR_BROKER' })
  await loopTurns(10)
  t.equal(lines.length, 1)
  t.strictSame(unhandled, [])
})

t.test('calls on a run that has ended need no rejection handler and are not logged', async t => {
  const { lines, options } = logger()
  const { app } = await start(t, {}, options)
  let over: Run | undefined
  await app.ws.chat(target).start(run => { over = run }).finished
  over!.send({ type: 'x' })
  over!.stream((async function * () { yield 'a' })())
  over!.tool('t', {}, () => {})
  over!.ask({ prompt: '?' })
  await loopTurns(10)
  t.strictSame([lines, unhandled], [[], []])
})

t.test('a publisher without Fastify logs the failure of a call that is not awaited to its option log', async t => {
  const lines: unknown[] = []
  const log = { info () {}, error () {}, warn: (...line: unknown[]) => lines.push(line) }
  const publisher = createPublisher({ url: 'redis://127.0.0.1:1', log })
  t.teardown(() => publisher.close())
  publisher.sendToUser('u1', wrong)
  publisher.sendToUser('a b', { type: 'x' })
  publisher.chat(target).send(wrong)
  await loopTurns(10)
  t.match(lines, [[{ code: 'RT_ERR_INVALID_MESSAGE' }], [{ code: 'RT_ERR_INVALID_ID' }], [{ code: 'RT_ERR_INVALID_MESSAGE' }]])
  t.strictSame(unhandled, [])
})

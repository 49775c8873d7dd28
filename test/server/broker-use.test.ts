import Fastify from 'fastify'
import t from 'tap'
import realtime, { ChannelLog, MemoryBroker, type Broker, type BrokerHost, type CreateLog, type RealtimeOptions } from '../../lib/index.js'
import { discardBroker, takeBroker } from '../../lib/server/broker-use.js'
import { connect, start } from '../harness.js'
import { logSink } from '../log-sink.js'

const make = () => new MemoryBroker({ size: 10, ttl: 60_000, bytes: 1_000_000, lag: 1_000 })

async function register (options: RealtimeOptions): Promise<void> {
  await Fastify().register(realtime, { insecure: true, ...options })
}

t.test('a second app with the broker of a first app gets RT_ERR_BROKER_USED, and the first app still uses the broker', async t => {
  const broker = make()
  const { app, url } = await start(t, { broker })
  const ada = await connect(t, `${url}/ws/notifications/ada`)
  const cure = { code: 'RT_ERR_BROKER_USED', message: /make one for each registration/ }
  await t.rejects(register({ broker }), cure)
  await t.rejects(register({ broker, authenticated: true } as RealtimeOptions), cure, 'RT_ERR_BROKER_USED takes precedence')
  await app.ws.sendToUser('ada', { type: 'note', data: { n: 1 } })
  t.match(await ada.next('note'), { data: { n: 1 } })
  await app.close()
  await t.rejects(register({ broker }), cure, 'the broker of a closed app stays used')
})

t.test('the broker of an app still works after a second registration with it has failed', async t => {
  const broker = make()
  const { app } = await start(t, { broker })
  await t.rejects(async () => { await Fastify({ serverFactory: () => app.server }).register(realtime, { insecure: true, broker }) }, { code: 'RT_ERR_BROKER_USED' })
  t.ok(await app.ws.broadcast({ type: 'note' }))
})

t.test('a registration that fails for any reason closes its broker', async t => {
  const reasons: RealtimeOptions[] = [
    { authenticated: true } as RealtimeOptions,
    { limits: { rate: 10, burst: 1 } },
    { messages: { note: { type: 'nothing' } as never } },
    { prefix: 'wrong' }
  ]
  for (const options of reasons) {
    const broker = make()
    await t.rejects(register({ broker, ...options }), { code: 'RT_ERR_OPTIONS' })
    t.throws(() => broker.publish('a', '{}'), { code: 'RT_ERR_CLOSING' }, JSON.stringify(options))
    t.throws(() => broker.open((_channel, epoch, limits) => new ChannelLog(epoch, limits)), { code: 'RT_ERR_BROKER_USED' })
  }
})

t.test('a registration with a broker that was opened directly rejects with RT_ERR_BROKER_USED', async t => {
  const broker = make()
  broker.open((_channel, epoch, limits) => new ChannelLog(epoch, limits))
  await t.rejects(register({ broker }), { code: 'RT_ERR_BROKER_USED' })
})

t.test('a registration with a value that is not a broker rejects with RT_ERR_OPTIONS', async t => {
  for (const broker of [5, 'redis://localhost', null, {}]) {
    await t.rejects(register({ broker: broker as unknown as Broker }), { code: 'RT_ERR_OPTIONS' }, JSON.stringify(broker))
  }
  for (const broker of [undefined, 5, null]) t.doesNotThrow(() => takeBroker(broker))
})

t.test('a broker whose close() throws or never settles does not hide the error of the registration', async t => {
  const throwing = Object.assign(make(), { close () { throw new Error('of close') } })
  const hanging = Object.assign(make(), { close: () => new Promise<void>(() => {}) })
  const { lines, options } = logSink()
  const app = Fastify({ logger: options })
  for (const broker of [throwing, hanging]) {
    await t.rejects(register({ broker, authenticated: true } as RealtimeOptions), { code: 'RT_ERR_OPTIONS' })
    await t.resolves(discardBroker(broker, app.log))
  }
  t.equal(lines.length, 1)
  t.match(JSON.parse(lines[0]), { msg: /the broker could not be closed/, err: { message: 'of close' } })
})

t.test('a broker gets the logger of the app', async t => {
  const broker = make()
  const { lines, options } = logSink()
  const open = broker.open.bind(broker)
  const opened: Broker = Object.assign(broker, {
    open (createLog: CreateLog, host?: BrokerHost) {
      open(createLog)
      host!.log!.error({ part: 'x' }, 'of the broker')
    }
  })
  await start(t, { broker: opened, insecure: true }, { logger: options })
  t.ok(lines.some(line => line.includes('of the broker')))
})

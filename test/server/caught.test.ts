import Fastify from 'fastify'
import t from 'tap'
import { caught, report } from '../../lib/server/caught.js'
import { connect, start } from '../harness.js'

const hostile = { get message (): string { throw new Error('of the getter') } }

t.test('whatever was thrown becomes an error that can be logged', async t => {
  const known = Object.assign(new TypeError('known', { cause: 5 }), { statusCode: 401, code: 'ECONNREFUSED' })
  t.equal(caught(known), known, 'an error stays what it is')
  t.match(caught({ message: 'like one', statusCode: 401, stack: 5 }), { message: 'like one', statusCode: 401, stack: '5' })
  for (const thrown of [null, undefined, 'text', 7, Symbol('s'), {}]) t.type(caught(thrown).message, 'string')
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  for (const thrown of [hostile, proxy]) t.equal(caught(thrown).message, 'what was thrown cannot be read')
})

t.test('hooks that throw it do not end the process', async t => {
  const { url } = await start(t, {
    onMessage: { x: async () => { throw hostile } },
    onDisconnect: async () => { throw hostile }
  }, { logger: { level: 'silent' } })
  const client = await connect(t, `${url}/ws/notifications/u1`)
  client.send({ type: 'x', ref: 1 })
  t.match(await client.next(), { type: 'error', ref: 1, data: { code: 'handler_failed' } })
  client.socket.close()
  await client.close()
})

t.test('a logger that throws ends nothing', async t => {
  const log = Fastify({ logger: { stream: { write () {} }, serializers: { err () { throw new Error('of the serializer') } } } }).log
  t.throws(() => log.error(new Error('of the app')))
  t.doesNotThrow(() => report(log, new Error('of the app'), 'onConnect failed'))
})

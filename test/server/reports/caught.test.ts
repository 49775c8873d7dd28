import Fastify from 'fastify'
import t from 'tap'
import { caught, ignoreRejection, report, write } from '../../../lib/server/reports/caught.js'
import { connect, start } from '../../harness.js'

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

t.test('an error whose properties run code is copied, so that it reads the same each time', async t => {
  let reads = 0
  const changing = Object.defineProperty(new Error('x'), 'statusCode', { get () { if (reads++ > 0) throw new Error('the second time'); return 401 } })
  const error = caught(changing)
  t.not(error, changing)
  t.equal(error.statusCode, 401)
  t.equal(error.statusCode, 401)
  const proxy = new Proxy(new Error('of a Proxy'), {})
  t.not(caught(proxy), proxy)
  t.equal(caught(proxy).message, 'of a Proxy')
  const frozen = Object.freeze(new Error('frozen'))
  t.equal(caught(frozen), frozen)
})

t.test('the rejection of a promise that is not awaited is ignored, however it rejects', async t => {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  const promises = [Promise.reject(new Error('x')), Promise.reject(proxy), { then () { throw new Error('x') } }, { then: (_: unknown, reject: (reason: unknown) => void) => reject(null) }]
  for (const promise of promises) t.equal(ignoreRejection(promise), true)
  for (const value of [undefined, null, 5, 'text', {}, [], () => {}, proxy, hostile]) t.equal(ignoreRejection(value), false)
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
  const rejects = { info: async () => { throw new Error('of the logger') } }
  t.doesNotThrow(() => write(rejects as unknown as typeof log, 'info', {}, 'text'))
})

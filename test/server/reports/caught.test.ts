import Fastify, { type FastifyBaseLogger } from 'fastify'
import t from 'tap'
import { caught, ignoreRejection, report, write } from '../../../lib/server/reports/caught.js'
import { connect, start } from '../../harness.js'

const hostile = { get message (): string { throw new Error('of the getter') } }

t.test('any thrown value becomes an error that can be logged', async t => {
  const known = Object.assign(new TypeError('known', { cause: 5 }), { statusCode: 401, code: 'ECONNREFUSED' })
  t.equal(caught(known), known, 'an error is returned unchanged')
  t.match(caught({ message: 'like one', statusCode: 401, stack: 5 }), { message: 'like one', statusCode: 401, stack: '5' })
  t.equal(caught({ message: 'like one', stack: 'its own' }).stack, 'its own')
  for (const thrown of [null, undefined, 'text', 7, Symbol('s'), {}]) t.type(caught(thrown).message, 'string')
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  for (const thrown of [hostile, proxy]) t.equal(caught(thrown).message, 'the thrown value cannot be read')
})

t.test('an error whose message or stack is not a string is copied with strings', async t => {
  t.strictSame(caught(Object.assign(new Error('x'), { message: 5 })).message, '5')
  t.type(caught(Object.assign(new Error('x'), { stack: undefined })).stack, 'string')
})

t.test('an error with a getter for its message, status or code is copied', async t => {
  for (const name of ['message', 'statusCode', 'code']) {
    const changing = Object.defineProperty(new Error('x'), name, { get: () => 'read' })
    t.not(caught(changing), changing, name)
    t.match(caught(changing), { [name]: 'read' })
  }
})

t.test('an error whose properties run code is copied, and the copy has constant properties', async t => {
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

t.test('ignoreRejection() ignores every rejection of a promise, and returns false for other values', async t => {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  const promises = [Promise.reject(new Error('x')), Promise.reject(proxy), { then () { throw new Error('x') } }, { then: (_: unknown, reject: (reason: unknown) => void) => reject(null) }]
  for (const promise of promises) t.equal(ignoreRejection(promise), true)
  const callable = Object.assign(() => {}, { then () {} })
  for (const value of [undefined, null, 5, 'text', {}, [], () => {}, callable, proxy, hostile]) t.equal(ignoreRejection(value), false)
})

t.test('a hook that throws a value that cannot be read does not end the process', async t => {
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

t.test('a logger that throws or rejects does not make report() or write() throw', async t => {
  const log = Fastify({ logger: { stream: { write () {} }, serializers: { err () { throw new Error('of the serializer') } } } }).log
  t.throws(() => log.error(new Error('of the app')))
  t.doesNotThrow(() => report(log, new Error('of the app'), 'onConnect failed'))
  const rejects = { info: async () => { throw new Error('of the logger') } }
  t.doesNotThrow(() => write(rejects as unknown as typeof log, 'info', {}, 'text'))
})

t.test('an error is logged at its level with the fields, and without the error if the error cannot be logged', async t => {
  const lines: Array<[fields: object, text: string]> = []
  const log = { error: (fields: object, text: string) => { lines.push([fields, text]) } } as unknown as FastifyBaseLogger
  const error = new Error('of the app')
  report(log, error, 'a hook failed', { type: 'a' })
  t.strictSame(lines.splice(0), [[{ type: 'a', err: error }, 'realtime: a hook failed']])

  let tries = 0
  const refuses = (fields: { err?: unknown }, text: string) => {
    tries++
    if (fields.err !== undefined) throw new Error('of the serializer')
    lines.push([fields, text])
  }
  report({ error: refuses } as unknown as FastifyBaseLogger, error, 'a hook failed', { type: 'a' })
  t.strictSame(lines.splice(0), [[{ type: 'a', err: undefined }, 'realtime: a hook failed (the error cannot be logged)']])
  t.equal(tries, 2)
  const throws = () => { throw new Error(`of the logger, ${tries++}`) }
  write({ info: throws }, 'info', {}, 'text')
  t.equal(tries, 3, 'a line without an error is not retried')
})

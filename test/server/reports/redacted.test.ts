import type { FastifyRequest } from 'fastify'
import t from 'tap'
import { redacted, secretsOf } from '../../../lib/server/reports/redacted.js'
import { outcome, start } from '../../harness.js'
import { logSink } from '../../log-sink.js'

const secret = 'eyJhbGciOi.s3cr3t'

t.test('an error that contains a secret in any property is copied without the secret', async t => {
  const errors = [
    new Error(`bad token ${secret}`), Object.assign(new Error('x'), { input: secret }), new Error('x', { cause: new Error(secret) }),
    new AggregateError([new Error(secret)], 'x'), Object.assign(new Error('x'), { config: { headers: { authorization: `Bearer ${secret}` } } }), secret
  ]
  for (const thrown of errors) {
    const error = redacted(thrown, [secret])
    t.type(error.message, 'string')
    t.notMatch(JSON.stringify([error.message, error.stack, error.cause, { ...error }]), secret)
  }
  const innocent = Object.assign(new Error('x', { cause: new Error('y') }), { code: 'ECONNREFUSED' })
  t.equal(redacted(innocent, [secret]), innocent, 'any other error is returned unchanged')
  t.equal(redacted(innocent, []), innocent)
})

t.test('every occurrence of a secret in the message and the stack is masked, and a secret is found at any depth', async t => {
  const error = redacted(Object.assign(new Error(`${secret} is no token: ${secret}`), { stack: `at ${secret}` }), [secret])
  t.strictSame([error.message, error.stack], ['[credential] is no token: [credential]', 'at [credential]'])
  const hidden = [{ of: { the: { app: { token: secret } } } }, { list: [...Array(200).fill('x'), secret] }, { text: `${'x'.repeat(20_000)}${secret}` }]
  for (const fields of hidden) {
    const thrown = Object.assign(new Error('x'), fields)
    t.not(redacted(thrown, [secret]), thrown)
  }
})

t.test('an error that cannot be read is replaced by an error without the secrets', async t => {
  const error = Object.assign(new Error('x'), { [Symbol.for('nodejs.util.inspect.custom')] () { throw new Error(secret) } })
  t.notMatch(redacted(error, [secret]).stack, secret)
  t.equal(redacted(error, [secret]).message, 'the thrown value cannot be read')
})

t.test('the secrets of a request are its credential, encoded and decoded, and its cookies', async t => {
  const request = (headers: Record<string, string>, url = '/', query = {}) => ({ headers, query, raw: { headers, url } }) as unknown as FastifyRequest
  t.strictSame(secretsOf(request({})), [])
  t.strictSame(secretsOf(request({ authorization: 'Bearer abcdef' })), ['abcdef', 'abcdef'])
  t.strictSame(secretsOf(request({ authorization: 'Basic abcdef' })), ['abcdef'])
  t.strictSame(secretsOf(request({}, '/?since=0&token=ab%2Fcd', { token: 'ab/cd' })), ['ab%2Fcd', 'ab/cd'])
  t.strictSame(secretsOf(request({ 'sec-websocket-protocol': 'fastify-realtime, token.ab%2Fcd' })), ['fastify-realtime', 'ab%2Fcd', 'ab/cd'])
  t.strictSame(secretsOf(request({ authorization: 'Basic  abcdef' })), ['abcdef'])
  t.strictSame(secretsOf(request({ 'sec-websocket-protocol': 'my-token.abcdef' })), ['my-token.abcdef'])
  t.strictSame(secretsOf(request({ cookie: 'sid=session ; a=1' })), ['session'])
  t.strictSame(secretsOf(request({ cookie: 'a=123; b=1234' })), ['1234'], 'a secret has 4 characters or more')
})

t.test('the credential in an error of authenticate does not appear in the log', async t => {
  const { lines, options } = logSink()
  const authenticate = (request: FastifyRequest) => {
    throw Object.assign(new Error(request.url), { input: request.headers, cookie: request.headers.cookie })
  }
  const { url } = await start(t, { authenticate }, { logger: options })
  t.equal(await outcome(`${url}/ws/notifications/u1?token=${secret}`, { headers: { cookie: `sid=${secret}` } }), 1011)
  t.match(lines.join(''), /authenticate_failed/)
  t.notMatch(lines.join(''), secret)
})

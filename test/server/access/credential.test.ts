import type { IncomingHttpHeaders } from 'node:http'
import t from 'tap'
import { WebSocket } from 'ws'
import { tokenOf } from '../../../lib/index.js'
import { chosenProtocol } from '../../../lib/server/access/credential.js'
import { Client, RawClient, start } from '../../harness.js'
import { logSink } from '../../log-sink.js'
import { eventually } from '../../waiting.js'

const path = '/ws/notifications/u1'
const from = (headers: IncomingHttpHeaders, query: unknown = {}) => tokenOf({ headers, query })
const offering = (protocols: string) => ({ 'sec-websocket-protocol': protocols })

t.test('tokenOf() reads a Bearer token from the Authorization header, and no other value', async t => {
  t.equal(from({ authorization: 'Bearer abc.def-1' }), 'abc.def-1')
  t.equal(from({ authorization: 'bearer  abc' }), 'abc', 'the scheme is case-insensitive (RFC 9110 section 11.1)')
  for (const authorization of ['', 'Bearer', 'Bearer ', 'Basic abc', 'Bearer a b', 'abc']) t.equal(from({ authorization }), undefined, authorization)
})

t.test('tokenOf() percent-decodes the token of a subprotocol that begins with token.', async t => {
  t.equal(from(offering('fastify-realtime, token.abc')), 'abc')
  t.equal(from(offering('token.abc,fastify-realtime')), 'abc')
  t.equal(from(offering('fastify-realtime, token.a%2Fb%20c%3D%28')), 'a/b c=(')
  for (const protocols of ['', 'fastify-realtime', 'token.', 'fastify-realtime, mytoken.abc', 'token.%', 'token.%ff']) {
    t.equal(from(offering(protocols)), undefined, protocols)
  }
})

t.test('tokenOf() reads a single token from the query', async t => {
  t.equal(from({}, { token: 'a b' }), 'a b')
  for (const query of [undefined, null, {}, { token: '' }, { token: ['a', 'b'] }]) t.equal(from({}, query), undefined)
})

t.test('the Authorization header takes precedence over a subprotocol, and a subprotocol over the query', async t => {
  const query = { token: 'q' }
  t.equal(from({ authorization: 'Bearer h', ...offering('token.p') }, query), 'h')
  t.equal(from({ authorization: 'Basic h', ...offering('token.p') }, query), 'p')
  t.equal(from(offering('token.%'), query), 'q')
})

t.test('a credential is never chosen as the subprotocol', async t => {
  t.equal(chosenProtocol(new Set(['fastify-realtime', 'token.abc'])), 'fastify-realtime')
  t.equal(chosenProtocol(new Set(['token.abc', 'graphql-ws'])), 'graphql-ws', "a subprotocol of the app's own routes is chosen")
  t.equal(chosenProtocol(new Set(['token.abc'])), false)
  t.equal(chosenProtocol(new Set()), false)
})

const secret = 's3cr3t/ %28'

for (const [how, request] of Object.entries({
  subprotocol: { protocols: ['fastify-realtime', `token.${encodeURIComponent(secret)}`], headers: {}, query: '' },
  'subprotocol before fastify-realtime': { protocols: [`token.${encodeURIComponent(secret)}`, 'fastify-realtime'], headers: {}, query: '' },
  query: { protocols: [], headers: {}, query: `?token=${encodeURIComponent(secret)}` },
  header: { protocols: [], headers: { authorization: `Bearer ${encodeURIComponent(secret)}` }, query: '' }
})) {
  t.test(`a credential in the ${how} reaches authenticate, and appears neither in the log nor in the answer`, async t => {
    const { lines, options } = logSink()
    const { url } = await start(t, {
      authenticate: request => {
        const token = tokenOf(request)
        return token === secret || token === encodeURIComponent(secret) ? { userId: 'u1' } : null
      }
    }, { logger: options })
    const socket = new WebSocket(url + path + request.query, request.protocols, { headers: request.headers })
    let head = ''
    socket.on('upgrade', ({ rawHeaders }) => { head = rawHeaders.join('\n') })
    t.teardown(() => socket.terminate())
    const type = await new Promise(resolve => socket.once('message', data => resolve(JSON.parse(data.toString()).type)))
    t.equal(type, 'connection_ack')
    t.equal(socket.protocol, request.protocols.length > 0 ? 'fastify-realtime' : '')
    t.notMatch(head, /s3cr3t/)
    await eventually(() => lines.some(line => line.includes('incoming request')))
    t.notMatch(lines.join(''), /s3cr3t/)
  })
}

t.test('the credential of a refused handshake appears neither in the log nor in the answer', async t => {
  const { lines, options } = logSink()
  const { url, port } = await start(t, { authenticate: () => { throw new Error('the database is down') } }, { logger: options })
  t.equal((await new Client(`${url}${path}?token=s3cr3t`, {}).close()).code, 1011)
  const bad = await RawClient.open(t, port, '/ws/notifications/a%20b?token=s3cr3t', { headers: offering('fastify-realtime, token.s3cr3t') })
  t.equal(bad.status, 400)
  const elsewhere = await RawClient.open(t, port, `${path}?token=s3cr3t`, { headers: { origin: 'https://evil.example', ...offering('token.s3cr3t') } })
  t.equal(elsewhere.status, 403)
  await eventually(() => lines.filter(line => line.includes('incoming request')).length === 3)
  t.notMatch(lines.join(''), /s3cr3t/)
  t.notMatch(bad.head + elsewhere.head, /s3cr3t/)
})

import type { FastifyBaseLogger, FastifyRequest } from 'fastify'
import t from 'tap'
import { errors } from '../../../lib/errors.js'
import { Refusals } from '../../../lib/server/reports/refusals.js'
import { addressOf, clientOf, noteError, proxiedAddressOf } from '../../../lib/server/handshake/refused-request.js'
import { Timers } from '../../../lib/time/timers.js'
import { outcome, start } from '../../harness.js'
import { logSink } from '../../log-sink.js'

/** Request of an app with `trustProxy`: Fastify has `ips` only with this option. */
const requestOf = (ip: unknown, params: object = {}, headers: object = {}) =>
  ({ ip, ips: [ip], params, headers, raw: { socket: { remoteAddress: '192.0.2.9' } } }) as unknown as FastifyRequest

t.test('the address is that of the peer if the address that a proxy names is not an IP address', async t => {
  for (const ip of ['192.0.2.1', '2001:db8::1', 'fe80::1%eth0']) t.equal(addressOf(requestOf(ip)), ip)
  for (const ip of ['unknown', '', undefined, 'token=secret', '192.0.2.1\nforged', `fe80::1%${'x'.repeat(10_000)}`]) t.equal(addressOf(requestOf(ip)), '192.0.2.9')
})

t.test('without trustProxy, the address of a request is that of the peer', async t => {
  const request = { ip: '192.0.2.1', params: {}, headers: {}, raw: { socket: { remoteAddress: '192.0.2.9' } } } as unknown as FastifyRequest
  t.equal(proxiedAddressOf(request), undefined)
  t.equal(addressOf(request), '192.0.2.9')
})

t.test('a request of injectWS has no address, also with trustProxy', async t => {
  const request = { ips: [], get ip () { throw new Error('of Fastify') }, raw: {} } as unknown as FastifyRequest
  t.equal(addressOf(request), undefined)
  const { app } = await start(t, {}, { trustProxy: true })
  const socket = await app.injectWS('/ws/notifications/u1')
  t.equal(app.ws.connections('u1').length, 1)
  socket.terminate()
})

t.test('the client of a request has the user of the path if the user is an id', async t => {
  t.match(clientOf(requestOf('192.0.2.1', { user_id: 'ada' })), { userId: 'ada', remoteAddress: '192.0.2.1' })
  t.equal(clientOf(requestOf('192.0.2.1', { '*': 'w/a/c/ada' })).userId, 'ada')
  for (const params of [{}, undefined, { user_id: 'a b' }, { '*': '' }]) t.equal(clientOf(requestOf('192.0.2.1', params as object)).userId, undefined)
})

t.test('only errors of the routes of the plugin are noted, without the user of a path that is not a channel', async t => {
  const lines: Array<{ reason: string, userId?: string, msg: string }> = []
  const info = (fields: object, msg: string) => lines.push({ ...fields, msg } as never)
  const refusals = new Refusals({ info } as unknown as FastifyBaseLogger, new Timers())
  t.teardown(() => refusals.close())
  const request = requestOf('192.0.2.1', { user_id: 'ada', '*': 'token' }, { 'sec-websocket-key': 'x' })
  const others = [new errors.FORBIDDEN('x'), ...['constructor', undefined].map(code => Object.assign(new Error('x'), { code }))]
  for (const error of [new errors.NOT_A_CHANNEL(), new errors.INVALID_ID('x'), new errors.UPGRADE_REQUIRED(), ...others]) noteError(refusals, request, error, 'handshakes')
  for (const limit of ['handshakes', 'connections'] as const) noteError(refusals, request, new errors.OVERLOADED(), limit)
  t.strictSame(lines.map(({ reason, userId }) => [reason, userId]), [['not_a_channel', undefined], ['invalid_id', undefined], ['no_upgrade', 'ada'], ['handshakes', 'ada'], ['connections', 'ada']])
  t.match(lines[2].msg, /a proxy in between does not forward the upgrade/)
})

t.test('with trustProxy, the log has the address that the proxy names', async t => {
  const { lines, options } = logSink()
  const { url } = await start(t, { authenticate: () => null }, { trustProxy: true, logger: options })
  const refused = () => lines.map(line => JSON.parse(line)).filter(({ reason }) => reason === 'unauthenticated')
  t.equal(await outcome(`${url}/ws/notifications/u1`, { headers: { 'x-forwarded-for': '203.0.113.7' } }), 4401)
  t.match(refused(), [{ remoteAddress: '203.0.113.7' }])
})

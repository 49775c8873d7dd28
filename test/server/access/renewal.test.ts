import t from 'tap'
import type { FastifyRequest } from 'fastify'
import { tokenOf, type RealtimeOptions, type Renew } from '../../../lib/index.js'
import { connect, start } from '../../harness.js'
import { logSink } from '../../log-sink.js'
import { wallClockTimers } from '../../timers.js'
import { eventually, gate, loopTurns } from '../../waiting.js'

const path = '/ws/notifications/u1'

t.test('every renewal gets an answer, and a refused one leaves the connection unchanged', async t => {
  /** A token is `<user> <milliseconds>`. */
  const identityOf = (token: string) => {
    const [userId, ms] = token.split(' ')
    return { userId, expiresAt: Date.now() + Number(ms), token }
  }
  const authenticate = (request: FastifyRequest) => identityOf(tokenOf(request)!)
  /** Starts a server, and connects u1 with a credential that expires after `ms`. */
  const startRenewing = async (scope: typeof t, renew: Renew | undefined, ms = 60_000, options: RealtimeOptions = {}, server = {}) => {
    const started = await start(scope, { authenticate, renew, ...options }, server)
    return { ...started, client: await connect(scope, `${started.url}${path}?token=u1+${ms}`) }
  }

  t.test('a renewed connection stays open until its new credential expires', async t => {
    const seen: string[] = []
    const { app, client } = await startRenewing(t, (token, connection) => {
      seen.push(`${connection.userId} ${connection.id}`)
      return identityOf(token)
    }, 500)
    const { connection_id: id, expires_in_ms: ms } = client.ack.data!
    t.ok(ms! > 0 && ms! <= 500)
    const began = performance.now()
    client.send({ type: 'renew', ref: 'r', data: { token: 'u1 1500' } })
    const renewed = await client.next('renewed')
    t.ok(renewed.data!.expires_in_ms! > 500 && renewed.data!.expires_in_ms! <= 1_500)
    t.match(await client.next(), { type: 'ack', ref: 'r' })
    t.strictSame(seen, [`u1 ${id}`])
    t.match(app.ws.connections('u1')[0].identity, { token: 'u1 1500' })
    t.equal((await client.close()).code, 4401)
    const lasted = performance.now() - began
    t.ok(lasted > 1_000, `${lasted} ms`)
  })

  t.test('a new credential may expire earlier than the old one, or never', async t => {
    const { app, client } = await startRenewing(t, token => token === 'never' ? { userId: 'u1' } : identityOf(token))
    client.send({ type: 'renew', data: { token: 'never' } })
    t.strictSame((await client.next('renewed')).data, {})
    t.equal(app.ws.connections('u1')[0].identity.expiresAt, undefined)
    client.send({ type: 'renew', data: { token: 'u1 50' } })
    await client.next('renewed')
    t.equal((await client.close()).code, 4401)
  })

  t.test('a renewal with the same ref on another connection renews that connection', async t => {
    const renewals: string[] = []
    const { url, client } = await startRenewing(t, (token, { id }) => { renewals.push(id); return identityOf(token) })
    const other = await connect(t, `${url}${path}?token=u1+60000`)
    for (const each of [client, other]) {
      each.send({ type: 'renew', ref: 'same', data: { token: 'u1 90000' } })
      t.match(await each.next(), { type: 'renewed' })
      t.match(await each.next(), { type: 'ack', ref: 'same' })
    }
    t.strictSame(renewals, [client, other].map(({ ack }) => ack.data!.connection_id))
  })

  const unauthorized = Object.assign(new Error('expired'), { statusCode: 401 })
  const bad: Record<string, Renew> = {
    'a result of null': () => null,
    'a promise of undefined': async () => undefined,
    'another user': () => ({ userId: 'u2' }),
    'an expired credential': () => ({ userId: 'u1', expiresAt: Date.now() - 1 }),
    'a throwing hook': () => { throw new Error('secret') },
    'a rejecting hook': async () => { throw new Error('secret') },
    'a hook that rejects with 401': async () => { throw unauthorized },
    'an invalid expiresAt': () => ({ userId: 'u1', expiresAt: 'tomorrow' as any }),
    'a result that is not an identity': () => 'u1' as any,
    'a hanging hook': () => new Promise(() => {})
  }
  const logged = ['a throwing hook', 'a rejecting hook', 'an invalid expiresAt', 'a result that is not an identity', 'a hanging hook']
  for (const [name, renew] of Object.entries(bad)) {
    t.test(`a renewal with ${name} is refused, and the current credential stays valid`, async t => {
      const { lines, options } = logSink()
      const { app, client } = await startRenewing(t, renew, 60_000, { timeouts: { authenticate: 100 } }, { logger: options })
      client.send({ type: 'renew', ref: 1, data: { token: 'x s3cr3t' } })
      const answer = await client.next()
      t.match(answer, { type: 'error', ref: 1, data: { code: 'renew_refused', message: 'this credential is not accepted' } })
      t.match(app.ws.connections('u1')[0].identity, { token: 'u1 60000' })
      client.send({ type: 'ping' })
      t.match(await client.next(), { type: 'pong' })
      t.equal(lines.some(line => line.includes('the renewal failed')), logged.includes(name))
      t.notMatch(lines.join(''), /s3cr3t/)
    })
  }

  t.test('a renewal that authorize does not allow closes with 4403, and its reason is logged', async t => {
    const { lines, options } = logSink()
    let verdict = true
    const { app, client } = await startRenewing(t, identityOf, 60_000, { authorize: () => verdict }, { logger: options })
    verdict = false
    client.send({ type: 'renew', ref: 1, data: { token: 'u1 90000' } })
    t.equal((await client.close()).code, 4403)
    await app.close()
    const logged = lines.map(line => JSON.parse(line)).filter(({ reason }) => reason !== undefined)
    t.match(logged, [{ reason: 'not_authorized', userId: 'u1', connectionId: client.ack.data!.connection_id }])
  })

  t.test('a renewal without a token gets bad_message, and the fifth one closes the connection with 4400', async t => {
    const { client } = await startRenewing(t, () => { throw new Error('is not asked') })
    for (const data of [undefined, null, 'token', { token: '' }, { token: 5 }]) {
      client.send({ type: 'renew', ref: 1, data })
      t.match(await client.next(), { type: 'error', ref: 1, data: { code: 'bad_message' } })
    }
    t.equal((await client.close()).code, 4400)
  })

  t.test('a renewal gets unknown_type if the app has no option renew', async t => {
    const { client } = await startRenewing(t, undefined)
    client.send({ type: 'renew', ref: 1, data: { token: 'u1 90000' } })
    t.match(await client.next(), { type: 'error', ref: 1, data: { code: 'unknown_type' } })
  })

  t.test('a connection that ends during its renewal leaves no timer', async t => {
    const timers = wallClockTimers(t)
    const { opened, open } = gate()
    const { app, client } = await startRenewing(t, async token => { await opened; return identityOf(token) })
    const [connection] = app.ws.connections('u1')
    client.send({ type: 'renew', data: { token: 'u1 90000' } })
    client.send({ type: 'ping' })
    await client.next('pong')
    client.socket.terminate()
    await eventually(() => app.ws.stats().connections === 0)
    open()
    await loopTurns(5)
    t.match(connection.identity, { token: 'u1 60000' })
    t.equal(timers.waiting, 0)
  })
})

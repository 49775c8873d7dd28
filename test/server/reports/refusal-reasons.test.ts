import t from 'tap'
import Fastify, { type FastifyInstance } from 'fastify'
import realtime, { defineChannel } from '../../../lib/index.js'
import type { RealtimeOptions } from '../../../lib/index.js'
import { reasonOf, reasonOfFault, refusalReasons, type RefusalReason } from '../../../lib/server/reports/refusal-reasons.js'
import { Client, RawClient, authenticateByHeader, rawFrame } from '../../harness.js'
import { logSink } from '../../log-sink.js'
import { eventually, gate, loopTurns } from '../../waiting.js'

const secret = 's3cr3t'
const path = `/ws/notifications/u1?token=${secret}`

/** Headers of every request, with a credential in each of them. */
const credentials = { authorization: `Bearer ${secret}`, cookie: `sid=${secret}` }
/** Headers of raw requests: the client of `ws` rejects the answer to a subprotocol that is set only as a header. */
const all = { ...credentials, 'sec-websocket-protocol': `fastify-realtime, token.${secret}` }

interface Context {
  app: FastifyInstance
  port: number
  url: string
}

interface Row {
  options?: RealtimeOptions
  /** Makes the server refuse a client. */
  act: (context: Context) => Promise<unknown>
  /** Pattern of the log line, besides the text of the reason. */
  says?: RegExp
  /** Whether the log line has the id of the connection. */
  isConnected?: boolean
}

const never = () => new Promise<never>(() => {})
const user = (userId: string, headers = {}) => ({ headers: { ...credentials, 'x-user': userId, ...headers } })

/** Resolves when a connection or a handshake has ended. */
function ended ({ url }: Context, to = path, options: { headers: Record<string, string> } = user('u1')): Promise<unknown> {
  const { socket } = new Client(url + to, options)
  return new Promise(resolve => {
    socket.on('unexpected-response', (_request, response) => {
      response.resume()
      socket.terminate()
      resolve(response.statusCode)
    })
    socket.on('close', resolve)
  })
}

/** Connects, calls `send`, and waits for the end of the connection. */
async function sends ({ url }: Context, send: (socket: Client['socket']) => void): Promise<void> {
  const client = new Client(url + path, user('u1'))
  await client.next('connection_ack')
  send(client.socket)
  await client.close()
}

async function writes (t: Scope, { port }: Context, ...frames: Buffer[]): Promise<void> {
  const client = await RawClient.open(t, port, path, user('u1', all))
  await eventually(() => client.envelopes.length === 1)
  client.stream.write(Buffer.concat(frames))
  await eventually(() => client.closeCode !== undefined)
  client.stream.destroy()
}

type Scope = Parameters<typeof RawClient.open>[0]

const rows: Record<RefusalReason, (t: Scope) => Row> = {
  bad_handshake: t => ({ act: ({ port }) => RawClient.open(t, port, path, { headers: { ...all, 'sec-websocket-key': 'x' } }) }),
  invalid_id: () => ({ act: context => ended(context, `/ws/notifications/a%20b?token=${secret}`) }),
  foreign_origin: () => ({
    act: context => ended(context, path, user('u1', { origin: 'https://app.example' })), says: /"https:\/\/app\.example", and the Host header is "127/
  }),
  development: () => ({
    options: { authenticate: undefined }, act: context => ended(context, path, user('u1', { via: '1.1 proxy' })), says: /Pass 'authenticate'/
  }),
  not_a_channel: () => ({ act: context => ended(context, `/ws/other?token=${secret}`) }),
  no_upgrade: () => ({ act: ({ url }) => fetch(url.replace('ws', 'http') + path, { headers: all }) }),
  handshakes: () => ({
    options: { authenticate: never, limits: { pending: 1 }, timeouts: { authenticate: 500 } },
    act: async context => {
      const waiting = ended(context)
      let status: unknown
      for (let attempt = 0; attempt < 100 && status !== 503; attempt++) status = await ended(context)
      await waiting
    }
  }),
  connections: () => ({
    options: { limits: { connections: 1 } },
    act: context => sends(context, async socket => {
      await ended(context)
      socket.terminate()
    })
  }),
  binary: () => ({ act: context => sends(context, socket => socket.send(Buffer.from('x'))), isConnected: true }),
  invalid_frame: t => ({ act: context => writes(t, context, rawFrame('x', { masked: false })), isConnected: true }),
  invalid_text: t => ({ act: context => writes(t, context, rawFrame(Buffer.from([0xff]))), isConnected: true }),
  too_fragmented: t => ({
    options: { limits: { fragments: 2 } },
    act: context => writes(t, context, rawFrame('x', { fin: false }), rawFrame('x', { fin: false, opcode: 0 }), rawFrame('x', { fin: false, opcode: 0 })),
    isConnected: true
  }),
  too_big: () => ({ options: { limits: { frame: 100 } }, act: context => sends(context, socket => socket.send('x'.repeat(201))), isConnected: true }),
  authenticate_failed: () => ({ options: { authenticate () { throw new Error(`the token ${secret}`) } }, act: context => ended(context) }),
  not_opened: () => ({ options: { onConnect () { throw new Error(`the token ${secret}`) } }, act: context => ended(context), isConnected: true }),
  connect_overflow: () => ({
    options: {
      limits: { lag: 1_000, message: 1_000 },
      onConnect (connection) { for (let n = 0; n < 5; n++) connection.send({ type: 'n', data: 'x'.repeat(900) }) }
    },
    act: context => ended(context),
    isConnected: true
  }),
  handler_timeout: () => ({
    options: { timeouts: { handler: 50 }, onMessage: { hang: never } },
    act: context => sends(context, socket => socket.send('{"type":"hang"}')),
    isConnected: true
  }),
  closing: () => {
    const { opened, open } = gate()
    let isAsked = false
    return {
      options: { authenticate: async request => { isAsked = true; await opened; return authenticateByHeader(request) } },
      act: async context => {
        const closed = ended(context)
        await eventually(() => isAsked)
        const closing = context.app.close()
        await loopTurns(1)
        open()
        await Promise.all([closing, closed])
      },
      isConnected: true
    }
  },
  bad_messages: () => ({
    act: context => sends(context, socket => { for (let n = 0; n < 5; n++) socket.send(`{"type":"${secret}"}`) }), says: /unknown_type/, isConnected: true
  }),
  unauthenticated: () => ({ act: context => ended(context, path, { headers: credentials }) }),
  credential_refused: () => ({
    options: { authenticate () { throw Object.assign(new Error(secret), { statusCode: 401, code: 'FST_JWT_EXPIRED' }) } },
    act: context => ended(context),
    says: /statusCode is 401, the code FST_JWT_EXPIRED/
  }),
  credential_expired: () => ({ options: { authenticate: () => ({ userId: 'u1', expiresAt: Date.now() + 50 }) }, act: context => ended(context), isConnected: true }),
  invalid_identity: () => ({
    options: { authenticate: () => ({ userId: 5 as never }) }, act: context => ended(context), says: /{ userId: 5 }.*String\(id\)/
  }),
  other_user: () => ({ act: context => ended(context, path, user('mallory')), says: /user of the path is u1/ }),
  not_authorized: () => ({ options: { authorize: () => false }, act: context => ended(context) }),
  invalid_verdict: () => ({ options: { authorize: () => 'yes' as never }, act: context => ended(context), says: /returned a string/ }),
  authenticate_timeout: () => ({ options: { authenticate: never, timeouts: { authenticate: 50 } }, act: context => ended(context) }),
  user_connections: () => ({
    options: { limits: { connectionsPerUser: 1 } },
    act: context => sends(context, async socket => {
      await ended(context)
      socket.terminate()
    })
  }),
  rate: () => ({
    options: { limits: { rate: 1, burst: 1 } },
    act: context => sends(context, socket => { for (let n = 0; n < 10; n++) socket.send('{"type":"ping"}') }),
    isConnected: true
  }),
  stalled: t => ({
    options: { limits: { message: 10_000, lag: 20_000 } },
    act: async ({ app, port }) => {
      const { stream } = await RawClient.open(t, port, path, user('u1'))
      stream.pause()
      await eventually(() => app.ws.isOnline('u1') === true)
      const [connection] = app.ws.connections('u1')
      for (let n = 0; n < 100_000 && app.ws.isOnline('u1'); n++) {
        connection.send({ type: 'alone', data: 'x'.repeat(9_000) })
        if (n % 2 === 0) await loopTurns(1)
      }
      stream.destroy()
    },
    isConnected: true
  }),
  channel_forbidden: () => ({
    options: { channels: { room: defineChannel({ authorize: () => false }) } }, act: subscribes, says: /room:r1/, isConnected: true
  }),
  channel_unavailable: () => ({
    options: { channels: { room: defineChannel({ authorize () { throw new Error(`the token of ${secret.length} characters`) } }) } },
    act: subscribes,
    says: /room:r1/,
    isConnected: true
  }),
  renew_refused: () => ({ options: { renew: () => null }, act: renews, says: /returned null or undefined/, isConnected: true }),
  renew_failed: () => ({ options: { renew: token => { throw new Error(`the token ${token}`) } }, act: renews, isConnected: true })
}

async function subscribes ({ url }: Context): Promise<void> {
  const client = new Client(url + path, user('u1'))
  await client.next('connection_ack')
  client.send({ type: 'subscribe', data: { channels: [{ channel: 'room:r1' }] } })
  await client.next('unsubscribed')
  client.socket.terminate()
}

async function renews ({ url }: Context): Promise<void> {
  const client = new Client(url + path, user('u1'))
  await client.next('connection_ack')
  client.send({ type: 'renew', data: { token: secret } })
  await client.next('error')
  client.socket.terminate()
}

for (const [reason, { code, text, ...row }] of Object.entries(refusalReasons)) {
  t.test(`${reason}: the log of an app has the reason of the refusal with ${code}, and no token at any level`, async t => {
    const { options = {}, act, says = /./, isConnected = false } = rows[reason as RefusalReason](t)
    const { lines, options: sink } = logSink()
    const app = Fastify({ logger: { ...sink, level: 'trace' } })
    t.teardown(() => app.close())
    await app.register(realtime, { authenticate: authenticateByHeader, ...options })
    await app.listen({ port: 0, host: '127.0.0.1' })
    await act({ app, port: Number(new URL(app.listeningOrigin).port), url: app.listeningOrigin.replace('http', 'ws') })
    const logged = () => lines.map(line => JSON.parse(line)).filter(line => line.reason === reason)
    await eventually(() => logged().length > 0)
    const [first] = logged()
    t.equal(first.level, 'level' in row ? 50 : 30)
    t.equal(first.code, code)
    t.equal(first.remoteAddress, '127.0.0.1')
    t.ok(first.msg.startsWith(`realtime: refused a client with ${code}: ${text}`), first.msg)
    t.match(first.msg, says)
    t.equal(typeof first.connectionId === 'string', isConnected)
    const isUserKnown = !['invalid_id', 'not_a_channel'].includes(reason)
    t.equal(first.userId, isUserKnown ? (reason === 'other_user' ? 'mallory' : 'u1') : undefined)
    t.notMatch(lines.join(''), secret)
  })
}

t.test('only errors and faults of refusals have a reason', async t => {
  for (const code of [undefined, 'constructor', 'RT_ERR_FORBIDDEN', 'FST_ERR_NOT_FOUND']) t.equal(reasonOf({ code }), undefined)
  t.equal(reasonOf({ code: 'RT_ERR_INVALID_ID' }), 'invalid_id')
  for (const code of [undefined, 'ECONNRESET', 'constructor']) t.equal(reasonOfFault({ code }), undefined)
  t.equal(reasonOfFault({ code: 'WS_ERR_constructor' }), 'invalid_frame')
  t.equal(reasonOfFault({ code: 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH' }), 'too_big')
})

import type { AddressInfo } from 'node:net'
import { PassThrough } from 'node:stream'
import Fastify from 'fastify'
import t from 'tap'
import { WebSocket, type ClientOptions } from 'ws'
import realtime, { closeCodes, tokenOf, type RealtimeOptions } from '../../lib/index.js'
import { optionsSchema } from '../../lib/plugin-options.js'
import { connect, outcome, refusedWith, start } from '../harness.js'
import { eventually, within } from '../waiting.js'
import { Page, refusal } from './page.js'

const page = new Page('docs/security.md')

type Scope = Pick<typeof t, 'teardown'>

/** The headers of a browser with a session. */
const session = (id: string) => ({ headers: { cookie: `theme=dark; session=${id}` } })

/** Connects with a token in a subprotocol. Resolves with the type of the first message, or with the close code. */
async function offer (t: Scope, url: string, token: string, options: ClientOptions = {}): Promise<unknown> {
  const socket = new WebSocket(url, ['fastify-realtime', `token.${encodeURIComponent(token)}`], options)
  t.teardown(() => socket.terminate())
  const result = new Promise((resolve, reject) => {
    socket.once('message', data => resolve(JSON.parse(String(data)).type))
    socket.once('close', resolve)
    socket.once('error', reject)
  })
  return within(result, `an answer to ${url}`)
}

/** A logger, and what it has written. */
function recordingLog () {
  const stream = new PassThrough()
  let text = ''
  stream.on('data', chunk => { text += chunk })
  return { logger: { stream }, written: () => text, lines: () => text.split('\n').filter(Boolean).map(line => JSON.parse(line)) }
}

t.test('development mode refuses proxies and pages of other machines, and production does not start in it', async t => {
  const { url } = await start(t)
  const path = `${url}/ws/notifications/ada`
  t.equal(await outcome(path), 'ack')
  const [list] = page.text.split('\n').filter(line => line.startsWith('- The request has no header that proxies add'))
  const headers = [...list.matchAll(/`([\w-]+)`/g)].map(([, name]) => name)
  t.equal(headers.length, 7)
  for (const name of headers) t.equal(await outcome(path, { headers: { [name]: '203.0.113.7' } }), 403, name)
  t.equal(await outcome(path, { headers: { host: 'app.example' } }), 403)
  const listed = await start(t, { allowedOrigins: ['https://app.example'] })
  t.equal(await outcome(`${listed.url}/ws/notifications/ada`, { origin: 'https://app.example' }), 403)

  const { NODE_ENV: env } = process.env
  process.env.NODE_ENV = 'production'
  t.teardown(() => {
    if (env === undefined) delete process.env.NODE_ENV
    else process.env.NODE_ENV = env
  })
  await t.rejects(async () => Fastify().register(realtime), { code: 'RT_ERR_AUTHENTICATE_REQUIRED' })
})

t.test('insecure accepts every client as the user of its path, and excludes authenticate', async t => {
  const { url } = await start(t, { insecure: true })
  const client = await connect(t, `${url}/ws/notifications/ada`, { headers: { 'x-forwarded-for': '203.0.113.7' } })
  t.equal(client.ack.data!.user_id, 'ada')
  await t.rejects(start(t, { insecure: true, authenticate: () => null }), { code: 'RT_ERR_OPTIONS' })
})

t.test('the snippet with a session cookie accepts users with a session, for their own channels', async t => {
  const { url } = await page.serve(t, 'cookie')
  t.equal((await connect(t, `${url}/notifications/ada`, session('secret-1'))).ack.data!.user_id, 'ada')
  t.equal(await refusal(t, `${url}/notifications/ada`, session('secret-2')), 4403)
  t.equal(await refusal(t, `${url}/notifications/ada`, session('secret-3')), 4401)
  t.equal(await refusal(t, `${url}/notifications/ada`), 4401)
})

t.test('authenticate runs after the onRequest hooks that were added before the plugin', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  app.decorateRequest('user', '')
  app.addHook('onRequest', async request => { Object.assign(request, { user: 'ada' }) })
  await app.register(realtime, { authenticate: request => ({ userId: (request as unknown as { user: string }).user }) })
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as AddressInfo
  t.equal((await connect(t, `ws://127.0.0.1:${port}/ws/notifications/ada`)).ack.data!.user_id, 'ada')
})

t.test('the snippet with @fastify/jwt accepts users with a token, until it expires', async t => {
  process.env.JWT_SECRET = 'a secret for this test'
  const { app, url } = await page.serve(t, 'jwt')
  const sign = (sub: string, expiresIn: string) => (app as any).jwt.sign({ sub }, { expiresIn })
  const token = sign('ada', '1h')

  t.equal((await connect(t, `${url}/notifications/ada?token=${token}`)).ack.data!.user_id, 'ada')
  await connect(t, `${url}/notifications/ada`, { headers: { authorization: `Bearer ${token}` } })
  t.equal(await offer(t, `${url}/notifications/ada`, token), 'connection_ack')
  t.equal(await refusal(t, `${url}/notifications/bob?token=${token}`), 4403)
  t.equal(await refusal(t, `${url}/notifications/ada?token=${token}x`), 4401)
  t.equal(await refusal(t, `${url}/notifications/ada`), 4401)
  const brief = await connect(t, `${url}/notifications/ada?token=${sign('ada', '2s')}`)
  t.equal((await brief.close()).code, 4401)
})

t.test('each row of the results of authenticate holds', async t => {
  const failing = (error: object) => () => { throw Object.assign(new Error('no'), error) }
  const never = () => new Promise<never>(() => {})
  const rows: Record<string, Array<NonNullable<RealtimeOptions['authenticate']>>> = {
    '`{ userId }`, the user of the path': [() => ({ userId: 'ada' })],
    '`{ userId }`, another user': [() => ({ userId: 'bob' })],
    '`null` or `undefined`': [() => null, () => undefined],
    'an error with a 4xx `statusCode`': [failing({ statusCode: 401 }), failing({ statusCode: 499 })],
    '`expiresAt` in the past': [() => ({ userId: 'ada', expiresAt: Date.now() - 1 })],
    'any other value, such as `false` or a number as `userId`': [false, { userId: 1 }, { userId: 'ada', expiresAt: 1_900_000_000 }].map(value => () => value as never),
    'any other error': [failing({}), failing({ statusCode: 500 })],
    'no result within `timeouts.authenticate` (5 s, together with `authorize`)': [never]
  }
  const documented = page.table('### Results of authenticate', '| Result | Connection |')
  t.same(documented.map(([result]) => result), Object.keys(rows))
  for (const [result, connection] of documented) {
    const expected = /\b(4\d{3}|1011)\b/.exec(connection)
    for (const authenticate of rows[result]) {
      const { url } = await start(t, { authenticate, timeouts: { authenticate: authenticate === never ? 50 : 5_000 } })
      t.equal(await outcome(`${url}/ws/notifications/ada`), expected === null ? 'ack' : Number(expected[1]), result)
    }
  }
  t.equal(optionsSchema.properties.timeouts.properties.authenticate.default, 5_000)
})

t.test('the snippet that renews a credential accepts a later one of the same user', async t => {
  process.env.JWT_SECRET = 'a secret for this test'
  const { app, url } = await page.serve(t, 'renew')
  const sign = (sub: string, expiresIn: string) => (app as any).jwt.sign({ sub }, { expiresIn })
  const client = await connect(t, `${url}/notifications/ada?token=${sign('ada', '2s')}`)
  t.ok(client.ack.data!.expires_in_ms! <= 2_000)
  const renew = (token: string) => client.send({ type: 'renew', ref: 1, data: { token } })

  for (const token of ['no token', sign('bob', '1h')]) {
    renew(token)
    t.match(await client.next(), { type: 'error', data: { code: 'renew_refused' } })
  }
  renew(sign('ada', '4s'))
  t.ok((await client.next('renewed')).data!.expires_in_ms! > 2_000)
  await client.next('ack')
  t.match(await client.close(), { code: 4401 })
  t.equal(await refusal(t, `${url}/notifications/ada?token=no`), 4401)
  t.equal(await refusal(t, `${url}/notifications/ada`), 4401)
})

t.test('the snippet with authorize accepts an admin everywhere, and refuses a member an internal chat', async t => {
  const { url } = await page.serve(t, 'authorize')
  const ada = session('secret-1')
  const bob = session('secret-2')
  await connect(t, `${url}/notifications/bob`, bob)
  await connect(t, `${url}/notifications/bob`, ada)
  await connect(t, `${url}/support/shop/c1/bob`, bob)
  await connect(t, `${url}/internal/shop/c1/bob`, ada)
  t.equal(await refusal(t, `${url}/internal/shop/c1/bob`, bob), 4403)
  t.equal(await refusal(t, `${url}/notifications/ada`, bob), 4403)
  t.equal(await refusal(t, `${url}/notifications/ada`), 4401)
})

t.test('an authorize that returns anything else refuses the connection', async t => {
  const { url } = await start(t, { authenticate: () => ({ userId: 'ada' }), authorize: () => 'yes' as never })
  t.equal(await outcome(`${url}/ws/notifications/ada`), closeCodes.FORBIDDEN.code)
  await t.rejects(start(t, { authorize: () => true }), { code: 'RT_ERR_OPTIONS' })
})

t.test('the snippet for pages of other origins accepts these and no others', async t => {
  const { url } = await page.serve(t, 'origins')
  for (const origin of ['http://localhost:5173', 'http://localhost:3000']) await connect(t, `${url}/notifications/ada`, { origin })
  t.equal(await refusedWith(`${url}/notifications/ada`, { origin: 'http://localhost:5174' }), 403)
  await connect(t, `${url}/notifications/ada`)
})

t.test('a line about a refused client has the fields of the table, and no path, query or credential', async t => {
  const log = recordingLog()
  const { url } = await start(t, {
    authenticate: request => {
      if (tokenOf(request) === 'a-known-token') return { userId: 'bob' }
      throw new Error(`no user for ${tokenOf(request)}`)
    }
  }, { logger: log.logger })
  const refused = () => log.lines().filter(({ reason }) => reason !== undefined)
  t.equal(await outcome(`${url}/ws/support/shop/c1/ada?token=a-known-token`), 4403)
  t.equal(await outcome(`${url}/ws/support/shop/c1/ada?token=an-unknown-token`), 1011)
  await eventually(() => refused().length === 2)
  const known = ['level', 'time', 'pid', 'hostname', 'msg', ...page.table('### Refused clients', '| Field | Content |').map(([field]) => field.slice(1, -1))]
  for (const line of refused()) for (const field of Object.keys(line)) t.ok(known.includes(field), field)
  t.match(refused(), [
    { level: 30, reason: 'other_user', code: 4403, userId: 'bob', remoteAddress: '127.0.0.1' },
    { level: 50, reason: 'authenticate_failed', code: 1011, userId: 'ada', err: { message: 'no user for [credential]' } }
  ])
  t.notMatch(log.written(), /known-token/)
  t.notMatch(JSON.stringify(refused()), /support/)
})

t.test('serializers get a request without its query and without a token in a subprotocol, and its other headers', async t => {
  const log = recordingLog()
  const serializers = { req: ({ url, headers }: any) => ({ url, headers }) }
  const { url } = await start(t, { authenticate: () => null }, { logger: { ...log.logger, serializers } })
  const headers = { cookie: 'session=in-a-cookie' }
  t.equal(await offer(t, `${url}/ws/notifications/ada?token=in-a-query`, 'in-a-protocol', { headers }), 4401)
  await eventually(() => log.lines().some(({ req }) => req !== undefined))
  t.notMatch(log.written(), /in-a-(?:protocol|query)/)
  t.match(log.written(), /token\.…/)
  t.match(log.written(), /in-a-cookie/, 'as the page warns')
})

t.test('each option that the page names exists, with the default that it says', async t => {
  for (const [, section, name] of page.text.matchAll(/`(limits|timeouts|history|chat)\.(\w+)`/g)) {
    t.hasProp(optionsSchema.properties[section as 'limits'].properties, name, `${section}.${name}`)
  }
  t.match(page.text, `\`limits.connectionsPerUser\` is ${optionsSchema.properties.limits.properties.connectionsPerUser.default} by default`)
})

t.test('every snippet of the page is run', async t => { page.allRan(t) })

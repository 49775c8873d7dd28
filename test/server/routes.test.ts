import type { AddressInfo, Socket } from 'node:net'
import { PassThrough } from 'node:stream'
import { setImmediate } from 'node:timers/promises'
import websocket from '@fastify/websocket'
import Fastify from 'fastify'
import fp from 'fastify-plugin'
import t from 'tap'
import realtime from '../../lib/index.js'
import { Client, RawClient, connect, eventually, refusedWith, start } from '../harness.js'

const long = 'x'.repeat(128)

t.test('plain HTTP', async t => {
  const { app } = await start(t)
  const answers: Array<[string, number]> = [
    ['/ws/notifications/u1', 426], ['/ws/w/a/c/u1', 426], [`/ws/notifications/${long}`, 426], [`/ws/w/a/${long}/u1`, 426],
    [`/ws/notifications/${long}x`, 400], [`/ws/w/${long}x/c/u`, 400], ['/ws/notifications/a%2Fb', 400], ['/ws/notifications/%00', 400],
    ['/ws/notifications/a%20b', 400], ['/ws/notifications/%C3%A9', 400], ['/ws/notifications/a/b/c', 400], [`/ws/w%2Fa/${long}x/c`, 400],
    ['/ws/notifications/a%7Cb:c@d+e~f-g_h.i', 426], ['/ws/other', 404], ['/ws/a/b', 404], ['/ws/notifications/', 400]
  ]
  for (const [url, status] of answers) {
    const response = await app.inject(url)
    t.equal(response.statusCode, status, url.slice(0, 60))
    t.type(response.json().message, 'string')
  }
  const { headers, json } = await app.inject('/ws/notifications/u1')
  t.equal(headers.upgrade, 'websocket')
  t.match(json(), { code: 'RT_ERR_UPGRADE_REQUIRED', statusCode: 426 })
})

t.test('upgrades', async t => {
  const { url } = await start(t)
  await connect(t, `${url}/ws/notifications/${long}`)
  await connect(t, `${url}/ws/${long}/${long}/${long}/${long}`)
  t.equal(await refusedWith(`${url}/ws/notifications/${long}x`), 400)
  t.equal(await refusedWith(`${url}/ws/other`), 404)
})

t.test('the routes are under another prefix, also when a plugin of the app registers them', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(fp(async scope => { await scope.register(realtime, { prefix: '/api/live' }) }))
  await app.listen({ port: 0, host: '127.0.0.1' })
  await connect(t, `${app.listeningOrigin.replace('http', 'ws')}/api/live/notifications/u1`)
})

t.test('the request log has no query in it', async t => {
  const lines: string[] = []
  const stream = new PassThrough()
  stream.on('data', line => lines.push(line.toString()))
  const { url } = await start(t, {}, { logger: { stream } })
  await connect(t, `${url}/ws/notifications/u1?since=0&token=secret`)
  t.ok(lines.some(line => line.includes('/ws/notifications/u1')))
  t.notOk(lines.some(line => line.includes('secret')))
})

t.test("an app's own websocket route works beside it, and its errors are logged", async t => {
  const lines: string[] = []
  const stream = new PassThrough()
  stream.on('data', line => lines.push(line.toString()))
  const app = Fastify({ logger: { stream } })
  t.teardown(() => app.close())
  await app.register(realtime)
  app.get('/echo', { websocket: true }, socket => { socket.on('message', data => socket.send(data.toString())) })
  app.get('/fails', { websocket: true }, async () => { throw new Error('of the app') })
  await app.listen({ port: 0, host: '127.0.0.1' })
  const origin = app.listeningOrigin.replace('http', 'ws')
  const echo = new Client(`${origin}/echo`)
  echo.socket.on('open', () => echo.send({ type: 'hello' }))
  t.match(await echo.next(), { type: 'hello' })
  echo.socket.terminate()
  await new Client(`${origin}/fails`).close()
  t.ok(lines.some(line => line.includes('of the app')))
})

t.test('registered twice, or beside @fastify/websocket', async t => {
  const twice = Fastify()
  await twice.register(realtime)
  await t.rejects(async () => twice.register(realtime), { code: 'RT_ERR_ALREADY_REGISTERED' })
  const after = Fastify()
  await after.register(websocket)
  await t.rejects(async () => after.register(realtime), { code: 'RT_ERR_WEBSOCKET_REGISTERED', message: /register fastify-realtime first/ })
  await Promise.allSettled([twice.close(), after.close()])
})

t.test('an upgrade that a plain route answers, at once or later, ends with the answer', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  app.get('/at-once', async () => 'at once')
  app.get('/later', async () => {
    for (let turn = 0; turn < 3; turn++) await setImmediate()
    return 'later'
  })
  await app.register(realtime)
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as AddressInfo
  const answerTo = async (path: string) => {
    const client = await RawClient.open(t, port, path)
    await eventually(() => client.isClosed)
    return client.status
  }
  t.equal(await answerTo('/at-once'), 200)
  t.equal(await answerTo('/later'), 200)
  const nowhere = await RawClient.open(t, port, '/nowhere')
  t.equal(nowhere.status, 404)
  await eventually(() => nowhere.isClosed)
})

t.test('the answer to the upgrade and the ack leave in one write', async t => {
  const { app, port } = await start(t)
  let writes = 0
  app.server.on('connection', (socket: Socket & { _handle?: Record<string, (...args: unknown[]) => unknown> }) => {
    const handle = socket._handle!
    for (const name of ['writev', 'writeUtf8String', 'writeLatin1String', 'writeBuffer']) {
      const write = handle[name]
      handle[name] = (...args) => { writes++; return write.apply(handle, args) }
    }
  })
  const client = await RawClient.open(t, port, '/ws/notifications/u1')
  await eventually(() => client.envelopes.length === 1)
  t.equal(writes, 1)
})

import { once } from 'node:events'
import type { Server } from 'node:http'
import type { Duplex } from 'node:stream'
import Fastify, { type FastifyInstance } from 'fastify'
import t from 'tap'
import { WebSocket, WebSocketServer } from 'ws'
import realtime, { type RealtimeOptions } from '../../../lib/index.js'
import { connect, outcome, rawFrame } from '../../harness.js'
import { eventually, gate, loopTurns } from '../../waiting.js'
import { handshake, listenAs, request, serverKinds } from '../../servers.js'

const path = '/ws/notifications/u1'
const never = new Promise<never>(() => {})
const insecure = { rejectUnauthorized: false }

/** Routes registered before and after the plugin, which @fastify/websocket treats differently. */
function appWith (options: RealtimeOptions = {}) {
  return async (app: FastifyInstance) => {
    app.get('/before', async () => 'before')
    app.post('/before', async ({ body }) => body)
    app.get('/never', () => never)
    await app.register(realtime, options)
    app.get('/after', async () => 'after')
    app.post('/after', async ({ body }) => body)
  }
}

for (const kind of Object.keys(serverKinds)) {
  t.test(`${kind}: an upgrade to a protocol other than websocket is an ordinary request`, async t => {
    const { talk } = await listenAs(t, kind, appWith())
    for (const upgrade of ['h2c', 'TLS/1.0', 'IRC/6.9, RTA/x11', 'websocket2', 'x-websocket']) {
      const headers = { connection: 'Upgrade, HTTP2-Settings', upgrade, 'http2-settings': 'AAMAAABkAAQCAAAAAAIAAAAA' }
      const body = JSON.stringify({ text: 'x'.repeat(1_000) })
      const rows: Array<[string, string, number, string]> = [
        ['GET', '/before', 200, 'before'], ['GET', '/after', 200, 'after'], ['GET', path, 426, 'RT_ERR_UPGRADE_REQUIRED'], ['GET', '/nowhere', 404, 'not found'],
        ['POST', '/before', 200, body], ['POST', '/after', 200, body]
      ]
      for (const [method, url, status, text] of rows) {
        const client = talk(request(method, url, headers, method === 'POST' ? body : ''))
        await eventually(() => client.received.includes(text))
        t.same(client.statuses, [status], `${method} ${url} with ${upgrade}`)
        client.socket.write(request('GET', '/after'))
        await eventually(() => client.statuses.length === 2 && client.received.includes('after'))
      }
    }
  })

  t.test(`${kind}: only a GET request of HTTP/1.1 is a WebSocket handshake`, async t => {
    const { talk } = await listenAs(t, kind, appWith())
    const post = talk(handshake('/after').replace('GET', 'POST').replace('\r\n\r\n', '\r\ncontent-type: application/json\r\ncontent-length: 7\r\n\r\n{"a":1}'))
    await eventually(() => post.received.includes('{"a":1}'))
    t.same(post.statuses, [200])
    const old = talk(handshake('/before').replace('HTTP/1.1', 'HTTP/1.0'))
    await eventually(() => old.isClosed)
    t.match(old.received, /200 OK[^]*before$/)
  })

  t.test(`${kind}: the Upgrade header may have websocket in any case and in a list`, async t => {
    const { talk } = await listenAs(t, kind, appWith())
    for (const upgrade of ['websocket', 'WebSocket', 'WEBSOCKET', 'h2c, websocket', 'websocket,h2c', 'foo/1 , WebSocket , bar']) {
      const client = talk(handshake(path, { upgrade }))
      await eventually(() => client.received.includes('connection_ack'))
      t.same(client.statuses, [101], upgrade)
    }
  })

  for (const order of ['before', 'after'] as const) {
    t.test(`${kind}: another 'upgrade' listener, added ${order} the plugin, gets its own upgrades`, async t => {
      const hmr = new WebSocketServer({ noServer: true })
      hmr.on('connection', socket => socket.send('hmr'))
      const listen = (server: Server) => server.on('upgrade', (request, socket: Duplex, head) => {
        if (request.url === '/hmr') hmr.handleUpgrade(request, socket, head, client => hmr.emit('connection', client, request))
        if (request.url === '/proxied') {
          // Like a proxy whose upstream server answers late.
          setTimeout(() => hmr.handleUpgrade(request, socket, head, client => client.send('proxied')), 50)
        }
        if (request.headers.upgrade === 'echo') {
          socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n')
          socket.pipe(socket)
        }
      })
      let routed = 0
      const { app, talk, url } = await listenAs(t, kind, async app => {
        if (order === 'before') listen(app.server)
        app.addHook('onRequest', async () => { routed++ })
        // The same route as that of @fastify/static.
        app.get('/*', async () => 'file')
        await appWith()(app)
        app.get('/:any', async () => 'plain')
        app.get('/own/:id', { websocket: true }, socket => { socket.send('own') })
        app.get('/deep/*', { websocket: true }, socket => { socket.send('deep') })
        if (order === 'after') listen(app.server)
      })
      for (const [path, first] of [['/hmr', 'hmr'], ['/proxied', 'proxied']]) {
        const socket = new WebSocket(url + path, insecure)
        t.teardown(() => socket.terminate())
        const [data] = await once(socket, 'message')
        t.equal(data.toString(), first)
      }
      const echo = talk(request('POST', '/before', { connection: 'Upgrade', upgrade: 'echo' }))
      await eventually(() => echo.statuses.length === 1)
      echo.socket.write('and back')
      await eventually(() => echo.received.endsWith('\r\n\r\nand back'))
      t.equal(routed, 0, 'the router gets none of these upgrades')

      for (const [path, first] of [['/own/5?x=1', 'own'], ['/deep/a/b', 'deep']]) {
        const own = new WebSocket(url + path, insecure)
        t.teardown(() => own.terminate())
        t.equal((await once(own, 'message'))[0].toString(), first)
      }
      const client = await connect(t, `${url}${path}?since=0`, insecure)
      await app.ws.sendToUser('u1', { type: 'hello' })
      t.equal((await client.next()).type, 'hello')
      t.equal(await outcome(`${url}/ws/other`, insecure), 404)
      t.same([echo.isClosed, echo.statuses], [false, [101]])
    })
  }

  t.test(`${kind}: an upgrade behind other requests in one packet is served after their responses`, async t => {
    const slow = gate()
    const { talk } = await listenAs(t, kind, async app => {
      app.get('/slow', async () => { await slow.opened; return 'slow' })
      await appWith()(app)
    })
    const get = (path: string) => request('GET', path)
    const post = request('POST', '/before', {}, '{"a":1}')
    const rows: Array<[string, string, number[]]> = [
      ['GET', get('/before') + handshake(path), [200, 101]],
      ['POST with a body', post + handshake(path), [200, 101]],
      ['several requests', get('/slow') + get('/before') + post + get('/nowhere') + handshake(path), [200, 200, 200, 404, 101]],
      ['a slow request', get('/slow') + handshake(path), [200, 101]],
      ['an upgrade to h2c', request('GET', '/slow', { connection: 'upgrade', upgrade: 'h2c' }), [200]],
      ['a refused upgrade', get('/slow') + handshake('/ws/other'), [200, 404]],
      ['an upgrade of a plain route', get('/slow') + handshake('/before'), [200, 200]],
      ['another upgrade, which is not a frame', handshake(path) + handshake(path), [101]]
    ]
    const clients = rows.map(([, text]) => talk(text))
    await eventually(() => clients[0].received.includes('connection_ack'))
    slow.open()
    for (const [at, [name, , statuses]] of rows.entries()) {
      await eventually(() => clients[at].statuses.length === statuses.length)
      t.same(clients[at].statuses, statuses, name)
      if (statuses.at(-1) === 101) await eventually(() => clients[at].received.includes('connection_ack'))
    }
    for (const at of [5, 6, 7]) await eventually(() => clients[at].isClosed)
  })

  t.test(`${kind}: frames that are sent behind a waiting handshake are read once the handshake is served`, async t => {
    const slow = gate()
    let pings = 0
    const { talk } = await listenAs(t, kind, async app => {
      app.get('/slow', async () => { await slow.opened; return 'slow' })
      await app.register(realtime, { onMessage: { hit: () => { pings++ } } })
    })
    const client = talk(request('GET', '/slow') + handshake(path))
    client.socket.write(rawFrame('{"type":"hit"}'))
    slow.open()
    await eventually(() => pings === 1 && client.statuses.length === 2)
    t.same(client.statuses, [200, 101])
  })
}

t.test('an upgrade behind a request that is never answered has a deadline and ends with its client', async t => {
  const timeouts = { authenticate: 50 }
  t.test('the socket of the upgrade is destroyed at the deadline of handshakes', async t => {
    const { talk, url } = await listenAs(t, 'http', appWith({ timeouts, limits: { pending: 1 } }))
    const client = talk(request('GET', '/never') + handshake(path))
    await eventually(() => client.socket.bytesWritten > 0)
    let refused: number | 'ack' = 'ack'
    while (refused !== 503) refused = await outcome(url + path)
    t.equal(client.isClosed, false, 'a waiting upgrade is counted')
    await eventually(() => client.isClosed)
    t.equal(await outcome(url + path), 'ack', 'its place is free again')
  })

  t.test('the upgrade frees its place when its client ends, destroys or resets the socket', async t => {
    const { talk, url } = await listenAs(t, 'http', appWith({ timeouts, limits: { pending: 3 } }))
    for (const leave of ['end', 'destroy', 'resetAndDestroy'] as const) {
      const client = talk(request('GET', '/never') + handshake(path))
      await once(client.socket, 'connect')
      client.socket[leave]()
    }
    let last: number | 'ack' = 'ack'
    while (last !== 503) last = await outcome(url + path)
    for (let attempt = 0; attempt < 5_000 && last === 503; attempt++) last = await outcome(url + path)
    t.equal(last, 'ack')
  })

  for (const forceCloseConnections of [true, false, 'idle'] as const) {
    t.test(`the upgrade does not block app.close() with forceCloseConnections: ${forceCloseConnections}`, async t => {
      let upgrades = 0
      const { app, talk } = await listenAs(t, 'http', async app => {
        await appWith({ timeouts: { drain: 100 } })(app)
        app.server.on('upgrade', () => { upgrades++ })
      }, { forceCloseConnections })
      const clients = [
        request('GET', '/never') + handshake(path), request('GET', '/never') + handshake('/after'), handshake('/never'), handshake('/hmr')
      ].map(text => talk(text))
      await eventually(() => upgrades === clients.length)
      await app.close()
      await eventually(() => clients.every(({ isClosed }) => isClosed))
    })
  }
})

t.test("an upgrade to one of the app's own routes counts among the pending handshakes until it is accepted", async t => {
  const go = gate()
  let asked = 0
  const { app, talk, url } = await listenAs(t, 'http', async app => {
    await app.register(realtime, { limits: { pending: 4 } })
    app.get('/own', { websocket: true, preValidation: async () => { asked++; await go.opened } }, socket => { socket.send('{"type":"own"}') })
  })
  const clients = [talk(handshake('/own')), talk(handshake('/own'))]
  await eventually(() => asked === 2)
  t.equal(await outcome(url + path), 503)
  t.equal(await outcome(`${url}/own`), 503)
  t.equal(asked, 2)
  go.open()
  await eventually(() => clients.every(({ received }) => received.includes('own')))
  for (let again = 0; again < 4; again++) t.equal(await outcome(`${url}/own`), 'ack')
  await connect(t, url + path)
  await app.close()
})

t.test('upgrades of one address that wait behind other requests have at most half of the pending places', async t => {
  let asked = 0
  const { talk } = await listenAs(t, 'http', async app => {
    app.addHook('onRequest', async () => { asked++ })
    await appWith({ limits: { pending: 4 } })(app)
    app.get('/own', { websocket: true }, () => {})
  })
  const clients: Array<ReturnType<typeof talk>> = []
  for (let n = 0; n < 3; n++) {
    clients.push(talk(request('GET', '/never') + handshake('/own')))
    await eventually(() => asked === n + 1)
    await loopTurns()
  }
  await eventually(() => clients[2].isClosed)
  t.strictSame(clients.map(({ statuses }) => statuses), [[], [], [503]])
  t.strictSame(clients.map(({ isClosed }) => isClosed), [false, false, true])
})

t.test("without a prefix, other 'upgrade' listeners get their own upgrades", async t => {
  const hmr = new WebSocketServer({ noServer: true })
  const { url } = await listenAs(t, 'http', async app => {
    app.server.on('upgrade', (request, socket: Duplex, head) => {
      if (request.url === '/hmr') hmr.handleUpgrade(request, socket, head, client => client.send('hmr'))
    })
    await app.register(realtime, { prefix: '' })
  })
  const socket = new WebSocket(`${url}/hmr`)
  t.teardown(() => socket.terminate())
  t.equal((await once(socket, 'message'))[0].toString(), 'hmr')
  await connect(t, `${url}/notifications/u1?since=0`)
})

t.test('a socket that no listener uses is destroyed', async t => {
  const timeouts = { authenticate: 50 }
  const sockets: Duplex[] = []
  const { talk } = await listenAs(t, 'http', async app => {
    app.server.on('upgrade', (request, socket: Duplex) => {
      sockets.push(socket)
      if (request.url === '/push') socket.write('HTTP/1.1 101 Switching Protocols\r\n\r\n')
      if (request.url === '/pull') socket.resume()
    })
    await appWith({ timeouts })(app)
  })
  const push = talk(handshake('/push'))
  const pull = talk(handshake('/pull'))
  const untouched = [
    handshake('/hmr'), request('GET', '/before', { connection: 'upgrade', upgrade: 'h2c' }), request('GET', '/before') + handshake('/hmr'),
    handshake('/never')
  ].map(talk)
  for (const client of untouched) await eventually(() => client.isClosed)
  t.same(untouched.map(({ statuses }) => statuses), [[], [], [200], []])
  t.same([push.isClosed, pull.isClosed], [false, false])
  for (const socket of sockets) socket.destroy()
})

t.test('a client that resets its socket at any moment does not affect other clients', async t => {
  const { talk, url } = await listenAs(t, 'http', async app => {
    app.server.on('upgrade', () => {})
    await appWith({ timeouts: { authenticate: 50 } })(app)
  })
  const texts = [
    request('GET', '/never') + handshake(path), request('GET', '/before') + handshake(path), handshake('/hmr'), handshake('/never'), handshake(path),
    request('GET', '/after', { connection: 'upgrade', upgrade: 'h2c' }), handshake('/ws/other')
  ]
  const clients = texts.flatMap(text => [0, 1, 2, 3].map(turns => ({ client: talk(text), turns })))
  await Promise.all(clients.map(async ({ client, turns }) => {
    await once(client.socket, 'connect')
    await loopTurns(turns * 3)
    client.socket.resetAndDestroy()
  }))
  await connect(t, url + path)
})

t.test('a closing server answers an upgrade with 503, also with another upgrade listener', async t => {
  const last = gate()
  const app = Fastify()
  t.teardown(() => app.close())
  app.server.on('upgrade', () => {})
  await app.register(realtime)
  app.addHook('preClose', () => last.opened)
  await app.listen({ port: 0, host: '127.0.0.1' })
  const url = app.listeningOrigin.replace('http', 'ws')
  const closed = app.close()
  let status: number | 'ack' = 'ack'
  for (let attempt = 0; attempt < 10; attempt++) {
    status = await outcome(url + path)
    t.equal(status, 503)
  }
  last.open()
  await closed
})

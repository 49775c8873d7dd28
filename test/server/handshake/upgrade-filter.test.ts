import { createServer, type IncomingMessage, type Server } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import t from 'tap'
import { filterUpgrades, isWebSocketUpgrade, type IsUpgrade } from '../../../lib/server/handshake/upgrade-filter.js'
import { eventually } from '../../waiting.js'
import { Talk, request } from '../../servers.js'

t.test('a WebSocket handshake is a GET of HTTP/1.1 with websocket in its Upgrade header', async t => {
  const is = (upgrade: string | undefined, method = 'GET', httpVersion = '1.1') => isWebSocketUpgrade({ method, httpVersion, headers: { upgrade } })
  for (const upgrade of ['websocket', 'WebSocket', 'h2c, websocket', ' websocket ,h2c', 'a,WEBSOCKET,b']) t.equal(is(upgrade), true, upgrade)
  for (const upgrade of [undefined, '', 'h2c', 'websockets', 'x-websocket', 'websocket/13', 'web socket']) t.equal(is(upgrade), false, String(upgrade))
  for (const method of ['POST', 'HEAD', 'CONNECT']) t.equal(is('websocket', method), false, method)
  t.equal(is('websocket', 'GET', '1.0'), false)
})

/** Starts a server with an upgrade listener, which answers a request with its kind. */
async function serverWith (t: { teardown (action: () => unknown): void }, isUpgrade: IsUpgrade) {
  const server = createServer((request, response) => {
    request.resume().on('end', () => response.end(`request ${request.method}`))
  })
  server.on('upgrade', (_request, socket) => socket.end('HTTP/1.1 101 Switching Protocols\r\n\r\nupgrade'))
  filterUpgrades(server, isUpgrade)
  server.listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return { server, talk: (text: string) => new Talk(t, port, text) }
}

t.test('an upgrade that the filter does not accept is an ordinary request with its body', async t => {
  const { talk } = await serverWith(t, ({ headers }) => headers.upgrade === 'mine')
  const mine = talk(request('GET', '/', { connection: 'upgrade', upgrade: 'mine' }))
  await eventually(() => mine.received.endsWith('upgrade'))
  for (const [method, body] of [['GET', ''], ['POST', '{"a":1}']]) {
    const other = talk(request(method, '/', { connection: 'upgrade', upgrade: 'other' }, body))
    await eventually(() => other.received.endsWith(`request ${method}`))
    other.socket.write(request('GET', '/'))
    await eventually(() => other.statuses.length === 2)
    other.socket.destroy()
  }
})

t.test('a CONNECT request is handled by Node.js', async t => {
  const { server, talk } = await serverWith(t, () => false)
  server.on('connect', (_request, socket: Socket) => socket.end('HTTP/1.1 200 OK\r\n\r\nconnected'))
  const client = talk('CONNECT host:1 HTTP/1.1\r\nhost: host:1\r\n\r\n')
  await eventually(() => client.received.endsWith('connected'))
})

t.test('an upgrade needs the consent of both the shouldUpgradeCallback of the app and the filter', async t => {
  const asked: string[] = []
  const server = createServer() as Server & { shouldUpgradeCallback?: IsUpgrade }
  server.shouldUpgradeCallback = ({ url }) => { asked.push(`app ${url}`); return url !== '/no' }
  filterUpgrades(server, ({ url }) => { asked.push(`own ${url}`); return url === '/yes' })
  const ask = (url: string) => server.shouldUpgradeCallback!({ url } as IncomingMessage)
  t.same(['/yes', '/no', '/other'].map(ask), [true, false, false])
  t.same(asked, ['app /yes', 'own /yes', 'app /no', 'app /other', 'own /other'])
  t.equal(server.listenerCount('connection'), createServer().listenerCount('connection'), 'no connection listener is added')
})

t.test('a socket without a parser does not make the filter throw', async t => {
  const server = createServer()
  filterUpgrades(server, () => true)
  t.doesNotThrow(() => { for (const socket of [{}, { parser: null }, { parser: {} }]) server.listeners('connection').at(-1)!(socket) })
  server.closeAllConnections()
})

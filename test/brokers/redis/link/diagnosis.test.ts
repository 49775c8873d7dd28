import { once } from 'node:events'
import net, { type AddressInfo, type Socket } from 'node:net'
import t from 'tap'
import { diagnose } from '../../../../lib/brokers/redis/link/diagnosis.js'
import { RedisServer, freePort, selfSigned, skipRedis, skipTls, tlsOnly } from '../../../redis-server.js'

const host = '127.0.0.1'

const look = (port: number, isTls: boolean, hasCertificate = false) => diagnose({ host, port, isTls, hasCertificate })

async function serve (t: { teardown (action: () => unknown): void }, onConnection: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>()
  const server = net.createServer(socket => {
    sockets.add(socket)
    socket.on('error', () => {})
    onConnection(socket)
  }).listen(0, host)
  await once(server, 'listening')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

t.test('what a server says before it closes the connection is found, by its first sentence', async t => {
  const port = await serve(t, socket => socket.end('-DENIED Redis is running in protected mode because it is enabled. In this mode connections are only …\r\n'))
  for (const isTls of [false, true]) {
    t.match(await look(port, isTls), { message: 'DENIED Redis is running in protected mode because it is enabled' })
  }
})

t.test('a server with TLS and one without are told apart', { skip: skipRedis || skipTls }, async t => {
  const plain = await RedisServer.start(t)
  const withPassword = await RedisServer.start(t, ['--requirepass', 'x'])
  const files = selfSigned(t)
  const secure = await RedisServer.start(t, tlsOnly(files))
  const mutual = await RedisServer.start(t, tlsOnly(files, 'yes'))
  for (const { port } of [plain, withPassword]) t.match(await look(port, true), { code: 'TLS_UNEXPECTED' })
  for (const { port } of [secure, mutual]) t.match(await look(port, false), { code: 'TLS_EXPECTED' })
  t.equal(await look(plain.port, false), undefined, 'nothing is wrong')
  t.equal(await look(secure.port, true), undefined, 'nothing is wrong')
  t.match(await look(mutual.port, true), { code: /ALERT_CERTIFICATE_REQUIRED/ })
  t.equal(await look(mutual.port, true, true), undefined, 'a client with a certificate may be refused for another reason')
})

t.test('where nothing listens any more the error of the network is the reason', async t => {
  t.match(await look(await freePort(), false), { code: 'ECONNREFUSED' })
})

t.test('a server that says nothing, or closes at once, gives no reason, within a second', async t => {
  const silent = await serve(t, () => {})
  const closing = await serve(t, socket => socket.destroy())
  for (const port of [silent, closing]) {
    for (const isTls of [false, true]) {
      const start = performance.now()
      t.equal(await look(port, isTls), undefined)
      // A busy machine may be late to notice.
      t.ok(performance.now() - start < 3_000)
    }
  }
})

import { once } from 'node:events'
import net, { type AddressInfo, type Socket } from 'node:net'
import t from 'tap'
import { diagnose } from '../../../../lib/brokers/redis/link/diagnosis.js'
import { RedisServer, freePort, selfSigned, skipRedis, skipTls, tlsOnly } from '../../../redis-server.js'
import { eventually, loopTurns } from '../../../waiting.js'

const host = '127.0.0.1'

const look = (port: number, isTls: boolean, hasCertificate = false, signal = new AbortController().signal) =>
  diagnose({ host, port, isTls, hasCertificate }, signal)

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

t.test('diagnose returns the first sentence that a server sends before it closes the connection', async t => {
  const port = await serve(t, socket => socket.end('-DENIED Redis is running in protected mode because it is enabled. In this mode connections are only …\r\n'))
  for (const isTls of [false, true]) {
    t.match(await look(port, isTls), { message: 'DENIED Redis is running in protected mode because it is enabled' })
  }
})

t.test('diagnose distinguishes a server with TLS from one without', { skip: skipRedis || skipTls }, async t => {
  const plain = await RedisServer.start(t)
  const withPassword = await RedisServer.start(t, ['--requirepass', 'x'])
  const files = selfSigned(t)
  const secure = await RedisServer.start(t, tlsOnly(files))
  const mutual = await RedisServer.start(t, tlsOnly(files, 'yes'))
  for (const { port } of [plain, withPassword]) t.match(await look(port, true), { code: 'TLS_UNEXPECTED' })
  for (const { port } of [secure, mutual]) t.match(await look(port, false), { code: 'TLS_EXPECTED' })
  t.equal(await look(plain.port, false), undefined, 'the server has no fault')
  t.equal(await look(secure.port, true), undefined, 'the server has no fault')
  t.match(await look(mutual.port, true), { code: /ALERT_CERTIFICATE_REQUIRED/ })
  t.equal(await look(mutual.port, true, true), undefined, 'a client with a certificate may be refused for another reason')
})

t.test('diagnose returns the error of the network when no server listens on the port', async t => {
  t.match(await look(await freePort(), false), { code: 'ECONNREFUSED' })
})

t.test('diagnose finds no reason, within a second, for a server that is silent or closes at once, and leaves no connection', async t => {
  let open = 0
  const silent = await serve(t, socket => {
    open++
    socket.resume().on('close', () => { open-- })
  })
  const closing = await serve(t, socket => socket.destroy())
  for (const port of [silent, closing]) {
    for (const isTls of [false, true]) {
      const start = performance.now()
      t.equal(await look(port, isTls), undefined)
      // A busy machine may notice late.
      t.ok(performance.now() - start < 3_000)
    }
  }
  await eventually(() => open === 0)
})

t.test('a diagnosis that is aborted ends at once, whatever it waits for', async t => {
  const later = async () => {
    await loopTurns(20)
    return 'waits'
  }
  // Waits for a greeting, and for the answer to a PING.
  for (const [isTls, event] of [[false, 'resume'], [true, 'data']] as const) {
    const abort = new AbortController()
    const port = await serve(t, socket => {
      socket.resume()
      socket.once(event, () => later().then(() => abort.abort()))
    })
    const ended = look(port, isTls, false, abort.signal).then(() => 'ended')
    await once(abort.signal, 'abort')
    t.equal(await Promise.race([ended, later()]), 'ended', event)
  }
  t.equal(await look(await serve(t, () => {}), false, false, AbortSignal.abort()), undefined)
})

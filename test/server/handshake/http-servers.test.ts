import dns from 'node:dns'
import type { Server } from 'node:http'
import net, { type AddressInfo } from 'node:net'
import Fastify from 'fastify'
import t from 'tap'
import realtime from '../../../lib/index.js'
import { forEachServer } from '../../../lib/server/handshake/http-servers.js'
import { outcome } from '../../harness.js'
import { logSink } from '../../log-sink.js'
import { eventually } from '../../waiting.js'
import { handshake, request } from '../../servers.js'

/** Makes `localhost` resolve to two addresses, as on a machine with IPv6. */
function twoAddresses (t: { teardown (action: () => unknown): void }): void {
  const { lookup } = dns
  const addresses = ['127.0.0.1', '127.0.0.2'].map(address => ({ address, family: 4 }))
  const both = (host: string, options: unknown, done = options as (...results: unknown[]) => void) => {
    if (host !== 'localhost') return lookup(host, options as { all: true }, done)
    return (options as { all?: boolean }).all === true ? done(null, addresses) : done(null, addresses[0].address, 4)
  }
  dns.lookup = both as typeof lookup
  t.teardown(() => { dns.lookup = lookup })
}

t.test('forEachServer() visits the server of the app at once, and its secondary servers when the app listens', async t => {
  twoAddresses(t)
  const app = Fastify()
  t.teardown(() => app.close())
  const servers = new Set<Server>()
  await app.register(async scope => forEachServer(scope, server => servers.add(server)))
  await app.ready()
  t.same([...servers], [app.server])
  await app.listen({ port: 0, host: 'localhost' })
  t.same([...servers].map(server => (server.address() as AddressInfo).address).sort(), ['127.0.0.1', '127.0.0.2'])
})

t.test('every address of localhost answers WebSocket upgrades, other upgrades and malformed URLs in the same way', async t => {
  twoAddresses(t)
  const log = logSink()
  const app = Fastify({
    logger: log.options,
    frameworkErrors: (error, request, reply) => {
      request.log.info(error.message)
      reply.send(error as never)
    }
  })
  t.teardown(() => app.close())
  await app.register(realtime)
  app.post('/plain', async ({ body }) => body)
  await app.listen({ port: 0, host: 'localhost' })
  for (const { address, port } of app.addresses() as AddressInfo[]) {
    const talk = (text: string) => {
      const socket = net.connect({ port, host: address })
      t.teardown(() => socket.destroy())
      const client = { socket, received: '' }
      socket.on('data', data => { client.received += data })
      socket.write(text)
      return client
    }
    const h2c = talk(request('POST', '/plain', { connection: 'upgrade', upgrade: 'h2c' }, '{"a":1}'))
    await eventually(() => h2c.received.endsWith('{"a":1}'))
    const malformed = talk(request('GET', '/ws/%zz?token=secret'))
    await eventually(() => malformed.received.includes('400'))
    t.equal(await outcome(`ws://${address}:${port}/ws/notifications/u1`), 'ack', address)
    const pipelined = talk(request('GET', '/nowhere') + handshake('/ws/notifications/u1'))
    await eventually(() => pipelined.received.includes('connection_ack'))
  }
  t.equal(app.addresses().length, 2)
  t.notMatch(log.lines.join(''), 'secret')
})

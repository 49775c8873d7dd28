import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import net, { type AddressInfo } from 'node:net'
import { join } from 'node:path'
import Fastify, { type FastifyInstance } from 'fastify'
import { Cluster, Redis, type RedisOptions } from 'ioredis'
import t from 'tap'
import { redisBroker, type RedisBrokerOptions } from '../../lib/redis.js'
import realtime from '../../lib/index.js'
import { as, authenticateByHeader, connect, outcome } from '../harness.js'
import { eventually } from '../waiting.js'
import { RedisServer, freePort, nodeOfCluster, selfSigned, skipRedis, skipTls, startCluster, tlsOnly } from '../redis-server.js'
import { root } from '../root.js'
import { found } from '../every.js'

/** Duration of an outage, in ms. With `FULL=1` it is the promised one. */
const outage = process.env.FULL === '1' ? 30_000 : 3_000

/** `UPDATE=1` rewrites the table. */
const isUpdate = process.env.UPDATE === '1'

const file = join(root, 'docs/redis-failures.md')
const secret = 's3cr3t'

// Most of a case is waiting. With more at once this process is late itself, and a diagnosis, which has a time limit, finds nothing.
t.jobs = 2

type Scope = { teardown (action: () => unknown): void }

/** One row of the table: a problem, and how it is reported. */
interface Row {
  name: string
  register: string
  log: string[]
  sendToUser: string
  clients: string
}

interface Line {
  level: number
  msg: string
}

/** An app with a broker, and its log. */
class App {
  readonly fastify: FastifyInstance
  readonly raw: string[] = []
  url = ''

  constructor (t: Scope) {
    this.fastify = Fastify({ logger: { level: 'trace', stream: { write: (line: string) => { this.raw.push(line) } } } })
    t.teardown(() => this.fastify.close())
  }

  /** Log lines of the plugin, without parts that differ between runs. Distinct lines, errors first. */
  get log (): string[] {
    const lines = this.raw.map(line => JSON.parse(line) as Line).filter(({ msg, level }) => msg.startsWith('realtime: ') && level >= 30)
    const texts = lines.map(({ level, msg }) => `${level >= 50 ? 'error' : level >= 40 ? 'warn' : 'info'}: ${plain(msg)}`)
    return [...new Set(texts)].sort()
  }

  has (text: string): boolean {
    return this.log.some(line => line.includes(text))
  }

  async register (options: RedisBrokerOptions): Promise<string> {
    const start = performance.now()
    const broker = redisBroker(options)
    const registered = this.fastify.register(realtime, { broker, authenticate: authenticateByHeader })
    const failure = await registered.then(() => undefined, error => saidBy(error))
    const ms = performance.now() - start
    // The promise is 2 s. On a busy machine the timer may be late.
    if (ms > 4_000) throw new Error(`register took ${Math.round(ms)} ms`)
    if (failure !== undefined) return `rejects: ${failure}`
    await this.fastify.listen({ port: 0, host: '127.0.0.1' })
    this.url = `ws://127.0.0.1:${(this.fastify.server.address() as AddressInfo).port}/ws/notifications`
    return 'resolves'
  }

  async send (): Promise<string> {
    const start = performance.now()
    const sent = this.fastify.ws.sendToUser('ada', { type: 'note', data: { text: secret } })
    const said = await sent.then(() => 'resolves', error => `rejects: ${saidBy(error)}`)
    const ms = performance.now() - start
    if (ms > 3_500) throw new Error(`sendToUser took ${Math.round(ms)} ms`)
    return said
  }

  async connect (): Promise<string> {
    const code = await outcome(`${this.url}/bob`, as('bob'))
    return code === 'ack' ? 'new connections succeed' : `new connections are closed with ${code}`
  }
}

/** The text without ports, slots and times. */
function plain (text: string): string {
  return text
    .replaceAll(/(127\.0\.0\.1|localhost):\d+/g, '$1:6379')
    .replaceAll(/MOVED \d+/g, 'MOVED 1234')
    .replaceAll(/after [\d.]+ s/g, 'after … s')
    .replace('realtime: ', '')
}

function saidBy (error: unknown): string {
  const { code, message, cause } = error as Error & { code: string }
  if (/RT_ERR_BROKER/.test(code) && !(cause instanceof Error)) throw new Error(`${code} has no cause: ${message}`)
  return `\`${code}\` ${plain(message)}`
}

/** Rows in the order of the tests, which run side by side. */
const rows: Array<Row | undefined> = []

/** A problem that exists when the app starts. */
function atStart (name: string, setUp: (t: Scope) => Promise<RedisBrokerOptions>, skip: string | false = skipRedis): void {
  const at = rows.push(undefined) - 1
  t.test(name, { skip }, async t => {
    const options = await setUp(t)
    const app = new App(t)
    const register = await app.register(options)
    const isUp = register === 'resolves'
    if (isUp) await eventually(() => app.log.length > 0)
    const row: Row = { name, register, log: app.log, sendToUser: isUp ? await app.send() : '–', clients: isUp ? await app.connect() : '–' }
    rows[at] = { ...row, log: app.log }
    t.ok(app.log.some(line => line.startsWith('error: Redis ')), 'the cause is logged')
    t.strictSame(found(app.raw, line => line.includes(secret)), [], 'neither a password nor a payload is logged')
    t.ok(app.raw.filter(line => line.includes('Redis cannot be used')).length <= 2, 'one line per cause, not one per attempt')
  })
}

interface Fault {
  /** Settings of redis-server. */
  args?: string[]
  options?: (server: RedisServer) => RedisBrokerOptions
  begin (server: RedisServer, admin: Redis): Promise<unknown>
  end (server: RedisServer, admin: Redis): Promise<unknown>
  /** Whether stored messages reach clients late. */
  isLate?: true
}

/** A problem that begins and ends while the app runs. */
function whileRunning (name: string, { args, options = ({ url }) => ({ url }), begin, end, isLate }: Fault): void {
  const at = rows.push(undefined) - 1
  t.test(name, { skip: skipRedis }, async t => {
    const server = await RedisServer.start(t, args)
    const admin = server.client(t)
    await admin.call('ACL', 'SETUSER', 'app', 'on', `>${secret}`, '~realtime:*', '&realtime:*', '+@all')
    const app = new App(t)
    t.equal(await app.register(options(server)), 'resolves')
    t.strictSame(app.log, [], 'nothing is logged before the problem')
    const ada = await connect(t, `${app.url}/ada`, as('ada'))
    t.equal(await app.send(), 'resolves')
    await ada.next('note')

    const start = performance.now()
    await begin(server, admin)
    // Messages that are sent meanwhile detect the problem, and so does the node itself.
    while (app.log.length === 0) await app.send()
    await eventually(() => performance.now() - start > (isLate === true ? 0 : outage), outage + 5_000)
    const sendToUser = await app.send()
    const clients = await app.connect()
    t.equal(ada.closed, undefined, 'an open connection stays')
    await end(server, admin)
    await eventually(() => app.has('works again'), 30_000)
    await eventually(async () => await app.send() === 'resolves')
    await ada.next('note')
    rows[at] = { name, register: 'resolved at the start', log: app.log, sendToUser, clients: `open connections stay, ${clients}` }
    t.strictSame(found(app.raw, line => line.includes(secret)), [], 'neither a password nor a payload is logged')
  })
}

async function withUser (t: Scope, ...rules: string[]): Promise<RedisBrokerOptions> {
  const server = await RedisServer.start(t)
  await server.client(t).call('ACL', 'SETUSER', 'app', 'on', `>${secret}`, ...rules)
  return { url: `redis://app:${secret}@127.0.0.1:${server.port}` }
}

atStart('The password is wrong', async t => {
  const server = await RedisServer.start(t, ['--requirepass', 'another'])
  return { url: `redis://:${secret}@127.0.0.1:${server.port}` }
})

atStart('A password is required, and the client sends none', async t => {
  const { url } = await RedisServer.start(t, ['--requirepass', 'another'])
  return { url }
})

atStart('The user has no channels, like every new user of Redis 7', t => withUser(t, '~*', '+@all'))

atStart('The user has no keys', t => withUser(t, 'resetkeys', '&*', '+@all'))

atStart('The user has neither keys nor channels', t => withUser(t, '~other:*', '&other:*', '+@all'))

atStart('The user may not run scripts', t => withUser(t, '~*', '&*', '+@all', '-@scripting'))

atStart('The user may not run a command that a script calls', t => withUser(t, '~*', '&*', '+@all', '-xadd'))

atStart('The database does not exist', async t => {
  const { url } = await RedisServer.start(t)
  return { url: `${url}/99` }
})

atStart('`redis://` to a TLS port', async t => {
  const { url } = await RedisServer.start(t, tlsOnly(selfSigned(t)))
  return { url }
}, skipRedis || skipTls)

atStart('`rediss://` to a port without TLS', async t => {
  const { port } = await RedisServer.start(t)
  return { url: `rediss://127.0.0.1:${port}` }
}, skipRedis || skipTls)

atStart('The certificate is not trusted', async t => {
  const { port } = await RedisServer.start(t, tlsOnly(selfSigned(t)))
  return { url: `rediss://localhost:${port}` }
}, skipRedis || skipTls)

atStart('The certificate is for another host name', async t => {
  const files = selfSigned(t)
  const { port } = await RedisServer.start(t, tlsOnly(files))
  return { client: clientOf(t, { host: '127.0.0.1', port, tls: { ca: readFileSync(files.cert) } }) }
}, skipRedis || skipTls)

atStart('Redis requires a client certificate', async t => {
  const files = selfSigned(t)
  const { port } = await RedisServer.start(t, tlsOnly(files, 'yes'))
  return { client: clientOf(t, { host: 'localhost', port, tls: { ca: readFileSync(files.cert) } }) }
}, skipRedis || skipTls)

/** A client of the app that has not connected. */
function clientOf (t: Scope, options: RedisOptions): Redis {
  const client = new Redis({ ...options, lazyConnect: true })
  t.teardown(() => client.disconnect())
  return client
}

atStart('The client is for a single server, and Redis is a Cluster', async t => {
  const { servers: [{ url }] } = await startCluster(t)
  return { url }
})

atStart('No server listens at the address', async () => ({ url: `redis://127.0.0.1:${await freePort()}` }))

atStart('The host name does not resolve', async () => ({ url: 'redis://redis.invalid:6379' }))

atStart('The server accepts connections and does not answer', async t => {
  const server = await RedisServer.start(t)
  server.stop()
  return { url: server.url }
})

atStart('The server is not Redis', async t => {
  const server = net.createServer(socket => {
    socket.on('error', () => {})
    socket.once('data', () => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))
  }).listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  return { url: `redis://127.0.0.1:${(server.address() as AddressInfo).port}` }
}, false)

atStart('Redis has reached `maxclients`', async t => {
  const { port, url } = await RedisServer.start(t, ['--maxclients', '1'])
  const only = net.connect(port, '127.0.0.1')
  t.teardown(() => only.destroy())
  only.write('PING\r\n')
  await once(only, 'data')
  return { url }
})

atStart('Redis is a replica', async t => {
  const { url } = await RedisServer.start(t, ['--replicaof', '127.0.0.1', String(await freePort())])
  return { url }
})

atStart('The memory of Redis is full', async t => {
  const { url } = await RedisServer.start(t, ['--maxmemory', '1'])
  return { url }
})

atStart('The Cluster is down', async t => {
  const { port } = await RedisServer.start(t, nodeOfCluster(await freePort()))
  const admin = new Redis(port, '127.0.0.1')
  await admin.cluster('ADDSLOTSRANGE', 0, 8_000)
  admin.disconnect()
  const client = new Cluster([{ host: '127.0.0.1', port }], { lazyConnect: true })
  t.teardown(() => client.disconnect())
  return { client }
})

atStart('No Sentinel listens at the address', async t => ({ client: clientOf(t, { sentinels: [{ host: '127.0.0.1', port: await freePort() }], name: 'app' }) }))

atStart('The Sentinel does not know the master', async t => {
  const { port } = await RedisServer.start(t, [], ['sentinel myid 0123456789012345678901234567890123456789'])
  return { client: clientOf(t, { sentinels: [{ host: '127.0.0.1', port }], name: 'app' }) }
})

const asApp = { options: ({ port }: RedisServer) => ({ url: `redis://app:${secret}@127.0.0.1:${port}` }) }

whileRunning('Redis is killed, and is down for 30 s', {
  args: ['--appendonly', 'yes'],
  begin: server => server.kill(),
  end: server => server.restart()
})

whileRunning('Redis is suspended for 30 s', {
  async begin (server) { server.stop() },
  async end (server) { server.goOn() }
})

whileRunning('The password changes', {
  ...asApp,
  async begin (_server, admin) {
    await admin.call('ACL', 'SETUSER', 'app', 'resetpass', '>another')
    await admin.call('CLIENT', 'KILL', 'USER', 'app')
  },
  end: (_server, admin) => admin.call('ACL', 'SETUSER', 'app', `>${secret}`)
})

whileRunning('The user loses its channels', {
  ...asApp,
  isLate: true,
  begin: (_server, admin) => admin.call('ACL', 'SETUSER', 'app', 'resetchannels'),
  end: (_server, admin) => admin.call('ACL', 'SETUSER', 'app', '&realtime:*')
})

whileRunning('The user loses its keys', {
  ...asApp,
  begin: (_server, admin) => admin.call('ACL', 'SETUSER', 'app', 'resetkeys'),
  end: (_server, admin) => admin.call('ACL', 'SETUSER', 'app', '~realtime:*')
})

whileRunning('The memory of Redis is full for a while', {
  begin: (_server, admin) => admin.config('SET', 'maxmemory', '1'),
  end: (_server, admin) => admin.config('SET', 'maxmemory', '0')
})

t.test('the table in docs/redis-failures.md equals the reports of register, the log, sendToUser and clients', { skip: skipRedis || skipTls, buffered: false }, async t => {
  const place = /(?<=<!-- table: redis-causes -->\n)[^]*(?=<!-- end of table -->)/
  const text = readFileSync(file, 'utf8')
  const cell = (texts: string[]) => texts.length === 0 ? '–' : texts.map(text => text.replaceAll('|', '\\|').replaceAll('<', '&lt;')).join('<br>')
  const table = [
    '| Problem | `register` | Log | `sendToUser` | Clients |',
    '|---|---|---|---|---|',
    ...rows.map(row => row!).map(({ name, register, log, sendToUser, clients }) => `| ${name} | ${[[register], log, [sendToUser], [clients]].map(cell).join(' | ')} |`)
  ]
  if (isUpdate) writeFileSync(file, text.replace(place, () => `${table.join('\n')}\n`))
  const [written] = place.exec(readFileSync(file, 'utf8'))!
  t.strictSame(written.trimEnd().split('\n'), table, 'UPDATE=1 rewrites the table')
})

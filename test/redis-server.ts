import { spawnSync, type ChildProcess } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import net, { type AddressInfo, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { Cluster, Redis } from 'ioredis'
import { spawnChild } from './children.js'
import { eventually, within } from './waiting.js'

interface Scope {
  teardown (action: () => unknown): void
}

/** Reason to skip tests that need TLS, or `false`. */
export const skipTls = spawnSync('openssl', ['version']).error === undefined ? false : 'openssl is not installed'

/** Files of a self-signed certificate for `localhost`. They are removed with the test. */
export function selfSigned (t: Scope): { cert: string, key: string } {
  const folder = mkdtempSync(join(tmpdir(), 'realtime-tls-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')]
  const { status, stderr } = spawnSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2',
    '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost', '-keyout', key, '-out', cert], { encoding: 'utf8' })
  if (status !== 0) throw new Error(stderr)
  return { cert, key }
}

/** Settings of a redis-server that accepts only TLS on its port. */
export function tlsOnly ({ cert, key }: { cert: string, key: string }, clients: 'yes' | 'no' = 'no'): (port: number) => string[] {
  return port => ['--port', '0', '--tls-port', String(port), '--tls-cert-file', cert, '--tls-key-file', key, '--tls-ca-cert-file', cert, '--tls-auth-clients', clients]
}

/** Reason to skip tests that need a redis-server, or `false`. */
export const skipRedis = spawnSync('redis-server', ['--version']).error === undefined ? false : 'redis-server is not installed'

/** Time until a key expires, in ms. Throws for a key that is gone, or never expires: Redis reports these as negative times. */
export async function lifetimeOf (client: Redis, key: string): Promise<number> {
  const left = await client.pttl(key)
  if (left < 0) throw new Error(`the key ${key} ${left === -1 ? 'never expires' : 'is gone'}`)
  return left
}

/** A free port below 32768, because the system takes the ports above for outgoing connections. */
export async function freePort (): Promise<number> {
  for (;;) {
    const port = randomInt(10_000, 32_000)
    const server = net.createServer().listen(port, '127.0.0.1')
    const isFree = await once(server, 'listening').then(() => true, () => false)
    if (!isFree) continue
    server.close()
    await once(server, 'close')
    return port
  }
}

/** Whether a process accepts connections on a loopback port. */
export function isListening (port: number): Promise<boolean> {
  const connected = new Promise<boolean>(resolve => {
    const socket = net.connect(port, '127.0.0.1', () => {
      socket.destroy()
      resolve(true)
    })
    socket.on('error', () => resolve(false))
  })
  return within(connected, `a connection to port ${port}, or its refusal`)
}

/** Keys that outlive all nodes on purpose: a lease waits for a node that takes it over. Nodes remove their entries in them. */
const lasting = /\{~nodes\}:(?:alive|holders|leases)$/

/** A redis-server on a free loopback port, which ends with the test. */
export class RedisServer {
  readonly port: number
  readonly #args: string[]
  readonly #sentinelLines: string[]
  readonly #folder = mkdtempSync(join(tmpdir(), 'realtime-redis-'))
  readonly #socket = join(this.#folder, 'socket')
  #process!: ChildProcess

  private constructor (port: number, args: string[], sentinelLines: string[]) {
    this.port = port
    this.#args = args
    this.#sentinelLines = sentinelLines
  }

  /** Starts with settings of redis-server, for example `['--appendonly', 'yes']`, or a function that returns them for a port. */
  static async start (t: Scope, args: string[] | ((port: number) => string[]) = [], sentinelLines: string[] = []): Promise<RedisServer> {
    const port = await freePort()
    const server = new RedisServer(port, typeof args === 'function' ? args(port) : args, sentinelLines)
    t.teardown(() => server.end())
    await server.#spawn()
    return server
  }

  get url (): string {
    return `redis://127.0.0.1:${this.port}`
  }

  /** An ioredis client, as an app has one; it ends with the test. */
  client (t: Scope): Redis {
    const client = new Redis(this.port, '127.0.0.1')
    client.on('error', () => {})
    t.teardown(() => client.disconnect())
    return client
  }

  async kill (): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return
    this.#process.kill('SIGKILL')
    await within(once(this.#process, 'exit'), `the end of redis-server on port ${this.port}`)
  }

  stop (): void {
    this.#process.kill('SIGSTOP')
  }

  goOn (): void {
    this.#process.kill('SIGCONT')
  }

  /** Restarts on the same port, with the data on disk or empty. */
  async restart ({ isEmpty = false } = {}): Promise<void> {
    await this.kill()
    if (isEmpty) rmSync(join(this.#folder, 'appendonlydir'), { recursive: true, force: true })
    if (isEmpty) rmSync(join(this.#folder, 'dump.rdb'), { force: true })
    await this.#spawn()
  }

  async #spawn (): Promise<void> {
    const common = ['--port', String(this.port), '--bind', '127.0.0.1', '--dir', this.#folder, '--save', '', '--daemonize', 'no', '--unixsocket', this.#socket]
    const isSentinel = this.#sentinelLines.length > 0
    const file = join(this.#folder, 'sentinel.conf')
    if (isSentinel) {
      writeFileSync(file, [`port ${this.port}`, 'bind 127.0.0.1', `dir ${this.#folder}`, ...this.#sentinelLines].join('\n'))
    }
    this.#process = spawnChild('redis-server', isSentinel ? [file, '--sentinel'] : [...common, ...this.#args], { stdio: ['ignore', 'pipe', 'inherit'] })
    await within(this.#ready(), `redis-server to accept connections on port ${this.port}`)
    this.#process.stdout!.resume()
  }

  async #ready (): Promise<void> {
    const lines: string[] = []
    for await (const line of createInterface(this.#process.stdout!)) {
      if (/Ready to accept connections|Sentinel ID is/.test(line)) return
      lines.push(line)
    }
    throw new Error(`redis-server ended: ${lines.join('\n')}`)
  }

  /** Ends the server. Rejects when a key of a broker would stay for ever: its nodes have ended, so only a TTL removes it. */
  async end (): Promise<void> {
    this.#process.kill('SIGCONT')
    const left = await this.#lastingKeys().finally(() => this.kill())
    rmSync(this.#folder, { recursive: true, force: true })
    if (left.length > 0) throw new Error(`keys without a TTL are left in Redis: ${left.join(', ')}`)
  }

  /** Keys without a TTL that a broker has made: all of these have a hash tag. A server that has ended has none. */
  async #lastingKeys (): Promise<string[]> {
    const hasEnded = this.#process.exitCode !== null || this.#process.signalCode !== null
    // Nobody stores anything in a server that takes TLS only: its tests are about what keeps brokers from it.
    if (hasEnded || this.#sentinelLines.length > 0 || this.#args.includes('--tls-port')) return []
    const password = this.#args[this.#args.indexOf('--requirepass') + 1]
    const client = new Redis({ path: this.#socket, ...this.#args.includes('--requirepass') ? { password } : {}, lazyConnect: true, retryStrategy: () => null })
    client.on('error', () => {})
    try {
      await within(client.connect(), `redis-server on port ${this.port} to accept a last connection`)
      const keys = (await client.keys('*{*}*')).sort()
      const ttls = await Promise.all(keys.map(key => client.pttl(key)))
      return keys.filter((key, at) => ttls[at] === -1 && !lasting.test(key))
    } finally {
      client.disconnect()
    }
  }
}

/** A master, a replica that follows it through a proxy, and a Sentinel that promotes the replica when the master is gone. */
export async function startSentinel (t: Scope) {
  const master = await RedisServer.start(t)
  const replication = await ChaosProxy.start(t, master.port)
  const replica = await RedisServer.start(t, ['--replicaof', '127.0.0.1', String(replication.port), '--repl-diskless-sync-delay', '0'])
  const admin = master.client(t)
  await eventually(async () => (await admin.info('replication')).includes('state=online'))
  // A Sentinel asks the master for replicas at its start, and again only after 10 s.
  const sentinel = await RedisServer.start(t, [], [
    `sentinel monitor app 127.0.0.1 ${master.port} 1`, 'sentinel down-after-milliseconds app 500', 'sentinel failover-timeout app 3000'
  ])
  const asked = sentinel.client(t)
  await eventually(async () => JSON.stringify(await asked.call('SENTINEL', 'replicas', 'app')).includes(String(replica.port)))
  return {
    master,
    replica,
    replication,
    client () {
      const client = new Redis({ sentinels: [{ host: '127.0.0.1', port: sentinel.port }], name: 'app' })
      client.on('error', () => {})
      t.teardown(() => client.disconnect())
      return client
    }
  }
}

/** Settings of a node of a Cluster. The default port of its bus, 10,000 above its own, may be taken by an outgoing connection. */
export function nodeOfCluster (busPort: number): string[] {
  return ['--cluster-enabled', 'yes', '--cluster-port', String(busPort), '--cluster-node-timeout', '2000']
}

/** A Cluster of three masters. */
export async function startCluster (t: Scope): Promise<{ servers: RedisServer[], client: () => Cluster }> {
  const busPorts = [await freePort(), await freePort(), await freePort()]
  const servers = await Promise.all(busPorts.map(port => RedisServer.start(t, nodeOfCluster(port))))
  const clients = servers.map(server => server.client(t))
  const slots = [[0, 5_460], [5_461, 10_922], [10_923, 16_383]]
  await Promise.all(clients.map((client, at) => client.cluster('ADDSLOTSRANGE', ...slots[at])))
  await Promise.all(clients.slice(1).map(client => client.cluster('MEET', '127.0.0.1', servers[0].port, busPorts[0])))
  for (const client of clients) await eventually(async () => (await client.cluster('INFO') as string).includes('cluster_state:ok'))
  for (const client of clients) await eventually(async () => (await client.cluster('SLOTS') as unknown[]).length === 3)
  return {
    servers,
    client () {
      const client = new Cluster(servers.map(({ port }) => ({ host: '127.0.0.1', port })))
      client.on('error', () => {})
      t.teardown(() => client.disconnect())
      return client
    }
  }
}

/** A TCP proxy that delays, holds or cuts the traffic to a server. */
export class ChaosProxy {
  readonly #target: number
  readonly #pairs = new Set<[Socket, Socket]>()
  readonly #server: Server
  /** Delay of each direction, in ms. */
  delay = 0
  #isHeld = false

  private constructor (target: number) {
    this.#target = target
    this.#server = net.createServer(client => this.#connect(client))
  }

  static async start (t: Scope, target: number): Promise<ChaosProxy> {
    const proxy = new ChaosProxy(target)
    proxy.#server.listen(0, '127.0.0.1')
    await within(once(proxy.#server, 'listening'), 'the proxy to listen')
    t.teardown(() => proxy.#close())
    return proxy
  }

  get port (): number {
    return (this.#server.address() as AddressInfo).port
  }

  get url (): string {
    return `redis://127.0.0.1:${this.port}`
  }

  get connections (): number {
    return this.#pairs.size
  }

  /** Simulates a partition: holds all traffic without closing a connection. */
  hold (): void {
    this.#isHeld = true
    for (const pair of this.#pairs) for (const socket of pair) socket.pause()
  }

  release (): void {
    this.#isHeld = false
    for (const pair of this.#pairs) for (const socket of pair) socket.resume()
  }

  /** Ends all connections. */
  cut (): void {
    for (const pair of this.#pairs) for (const socket of pair) socket.destroy()
  }

  #connect (client: Socket): void {
    const server = net.connect(this.#target, '127.0.0.1')
    const pair: [Socket, Socket] = [client, server]
    this.#pairs.add(pair)
    this.#forward(client, server, pair)
    this.#forward(server, client, pair)
    if (this.#isHeld) for (const socket of pair) socket.pause()
  }

  #forward (from: Socket, to: Socket, pair: [Socket, Socket]): void {
    from.setNoDelay(true)
    // Keeps the order when the delay gets shorter.
    const waiting: Array<{ due: number, action: () => void }> = []
    const forward = () => {
      while (waiting.length > 0 && waiting[0].due <= performance.now()) waiting.shift()!.action()
      // The simulated delay.
      if (waiting.length > 0) setTimeout(forward, Math.ceil(waiting[0].due - performance.now()))
    }
    const later = (action: () => void) => {
      waiting.push({ due: performance.now() + this.delay, action })
      if (waiting.length === 1) forward()
    }
    from.on('data', chunk => later(() => to.write(chunk)))
    from.on('end', () => later(() => to.end()))
    from.on('error', () => {})
    from.on('close', () => {
      this.#pairs.delete(pair)
      if (!this.#isHeld) to.destroy()
    })
  }

  #close (): void {
    this.release()
    this.cut()
    this.#server.close()
  }
}

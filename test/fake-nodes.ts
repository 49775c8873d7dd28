import type { Broker, CreateLog, EnteredConnection, Lease, Nodes } from '../lib/brokers/broker.js'
import type { Log } from '../lib/logs/log.js'

interface Held {
  data: string
  holder: FakeNodes
  lost: AbortController
}

/** Shared state of the nodes of one app, in memory. */
export class FakeCluster {
  readonly nodes: FakeNodes[] = []
  readonly claims = new Set<string>()
  readonly held = new Map<string, Held>()

  join (): FakeNodes {
    const node = new FakeNodes(`n${this.nodes.length}`, this)
    this.nodes.push(node)
    return node
  }
}

/** A node whose end and whose broker's faults the test controls. */
export class FakeNodes implements Nodes {
  readonly id: string
  /** Error with which calls of the broker fail. */
  fault: Error | undefined
  readonly #cluster: FakeCluster
  readonly #told = new Set<(message: string, from: string) => void>()
  readonly #inherited = new Set<(lease: Lease) => void>()
  readonly #present = new Map<string, EnteredConnection[]>()

  constructor (id: string, cluster: FakeCluster) {
    this.id = id
    this.#cluster = cluster
  }

  get alive (): string[] | undefined {
    return this.fault === undefined ? this.#cluster.nodes.map(({ id }) => id) : undefined
  }

  onAlive (): () => void {
    return () => {}
  }

  async tell (message: string): Promise<void> {
    if (this.fault !== undefined) throw this.fault
    for (const other of this.#cluster.nodes) {
      if (other !== this) for (const listener of other.#told) setImmediate(listener, message, this.id)
    }
  }

  onTold (listener: (message: string, from: string) => void): () => void {
    this.#told.add(listener)
    return () => { this.#told.delete(listener) }
  }

  async enter (userId: string, connectionId: string, limit: number): Promise<boolean> {
    if ((await this.present(userId)).length >= limit) return false
    this.#present.set(userId, [...this.#present.get(userId) ?? [], { connectionId, node: this.id }])
    return true
  }

  leave (userId: string, connectionId: string): void {
    this.#present.set(userId, (this.#present.get(userId) ?? []).filter(present => present.connectionId !== connectionId))
  }

  async present (userId: string): Promise<EnteredConnection[]> {
    if (this.fault !== undefined) throw this.fault
    return this.#cluster.nodes.flatMap(node => node.#present.get(userId) ?? [])
  }

  async claim (holder: string, key: string): Promise<boolean> {
    if (this.fault !== undefined) throw this.fault
    const claim = `${holder} ${key}`
    const isFirst = !this.#cluster.claims.has(claim)
    this.#cluster.claims.add(claim)
    return isFirst
  }

  async hold (key: string, data: string): Promise<Lease | undefined> {
    if (this.fault !== undefined) throw this.fault
    if (this.#cluster.held.has(key)) return undefined
    this.#cluster.held.set(key, { data, holder: this, lost: new AbortController() })
    return this.#lease(key)
  }

  onInherited (listener: (lease: Lease) => void): () => void {
    this.#inherited.add(listener)
    return () => { this.#inherited.delete(listener) }
  }

  /** Number of listeners of this node. */
  get listeners (): number {
    return this.#told.size + this.#inherited.size
  }

  /** Simulates the loss of the leases with this key prefix to other nodes. */
  lose (prefix: string): void {
    for (const [key, { holder, lost }] of this.#cluster.held) {
      if (holder === this && key.startsWith(prefix)) lost.abort()
    }
  }

  /** Simulates the death of this node: `heir` gets its leases. */
  die (heir = this.#cluster.nodes.find(node => node !== this)!): void {
    for (const [key, held] of this.#cluster.held) {
      if (held.holder !== this) continue
      held.lost.abort()
      this.#cluster.held.set(key, { ...held, holder: heir, lost: new AbortController() })
      for (const listener of heir.#inherited) listener(heir.#lease(key))
    }
  }

  #lease (key: string): Lease {
    const { data, lost } = this.#cluster.held.get(key)!
    return { key, data, lost: lost.signal, release: async () => { if (!lost.signal.aborted) this.#cluster.held.delete(key) } }
  }
}

/** Brokers of several nodes that share their logs. `size` is the number of publications that a log keeps. */
export function brokersOfNodes (count: number, size = 1_000): Array<Broker & { nodes: FakeNodes }> {
  const cluster = new FakeCluster()
  const logs = new Map<string, Log>()
  let createLog: CreateLog
  const logOf = (channel: string) => {
    const log = logs.get(channel) ?? createLog(channel, 'e', { size, ttl: 60_000, lag: 1_000_000 })
    logs.set(channel, log)
    return log
  }
  return Array.from({ length: count }, () => ({
    nodes: cluster.join(),
    open (create: CreateLog) { createLog ??= create },
    async publish (channel: string, body: string) {
      const log = logOf(channel)
      log.append(body, 0)
      return log.position
    },
    subscribe: logOf,
    stats: () => ({ channels: logs.size, publications: 0, bytes: 0 }),
    close () {}
  }))
}

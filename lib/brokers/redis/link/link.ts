import type { Cluster, Redis } from 'ioredis'
import { causeOf, isCause } from './cause.js'
import { createConnection, end, isCluster, isReady, type RedisAddress, type RedisClient } from './connection.js'
import { diagnose, type ProbedServer } from './diagnosis.js'
import { clusterNode, type Health, type Line } from './health.js'
import { scripts } from '../commands/index.js'
import type { Script } from '../commands/script.js'

/** Between two diagnoses of the same connection, in ms. */
const diagnoseEvery = 5_000

/** Time between the end of a connection and the look for its reason, in ms. */
const settleTime = 50

/** A TLS handshake that takes longer than this is looked into, in ms: the server may wait for something else than TLS. */
const handshakeTime = 500

/** Messages of ioredis that leave out why a Sentinel or a node of a Cluster could not be reached. */
const hidden = /Connection is closed|startup nodes/

/** A connection to Redis of our own. What fails on it, and what works, goes to the health. */
export class RedisLink {
  readonly client: RedisClient
  readonly health: Health
  readonly #line: Line
  /** Something was reported since the last attempt to connect began. */
  #hasFailed = false
  /** The server works on another database than it was asked to. */
  #isElsewhere = false
  /** The connection is being replaced on purpose. */
  #isReconnecting = false
  #isEnded = false
  #isDiagnosing = false
  #diagnosedAt = -Infinity
  #handshake: NodeJS.Timeout | undefined
  /** What the last Sentinel said; the summary of ioredis leaves that out. */
  #sentinelError: Error | undefined
  /** The node of a Cluster that failed last, `host:port`. */
  #failedNode: string | undefined

  /** Does not connect yet. Throws RT_ERR_OPTIONS. */
  constructor (address: RedisAddress, health: Health, line: Line = 'commands') {
    this.client = createConnection(address)
    this.health = health
    this.#line = line
    const { client } = this
    client.on('connecting', this.#onConnecting)
    client.on('ready', this.#onReady)
    client.on('close', this.#onClose)
    if (isCluster(client)) this.#observeCluster(client)
    else client.on('error', this.#onError).on('sentinelError', (error: Error) => { this.#sentinelError = error })
  }

  #observeCluster (cluster: Cluster): void {
    cluster.on('error', (error: Error & { lastNodeError?: Error }) => this.#onClusterError(error.lastNodeError ?? error))
    cluster.on('node error', (error: Error, node: string) => {
      this.#failedNode = node
      if (isReady(cluster)) this.#onClusterError(new Error(`${node}: ${error.message}`))
    })
    cluster.on('+node', () => this.#connectMasters(cluster))
  }

  /** Comes back by itself from now on, until `end`. */
  start (): void {
    // Failures come as events too, but for the names of a Cluster's nodes.
    this.client.connect().catch(error => { if (isCluster(this.client)) this.#failed(error) })
  }

  get isReady (): boolean {
    return isReady(this.client)
  }

  get isCluster (): boolean {
    return isCluster(this.client)
  }

  /** Sharded pub/sub in a Cluster: an announcement then reaches one node of it, not all. */
  get publishCommand (): 'PUBLISH' | 'SPUBLISH' {
    return this.isCluster ? 'SPUBLISH' : 'PUBLISH'
  }

  /** Runs a script. Rejects with what Redis or ioredis say. */
  async run (script: Script, keys: string[], args: Array<string | number>): Promise<unknown> {
    try {
      const answer = await this.client.evalsha(script.sha, keys.length, ...keys, ...args)
      this.health.well(script.name)
      return answer
    } catch (error) {
      if (String((error as Error).message).startsWith('NOSCRIPT')) return this.ask(script.name, this.client.eval(script.text, keys.length, ...keys, ...args))
      this.health.failed(script.name, error)
      throw error
    }
  }

  /** The outcome of a command that was sent. */
  async ask<T> (name: string, command: Promise<T>): Promise<T> {
    try {
      const answer = await command
      this.health.well(name)
      return answer
    } catch (error) {
      this.health.failed(name, error)
      throw error
    }
  }

  /** Connects anew, because the server is not the right one any more. */
  reconnect (): void {
    this.#isReconnecting = true
    this.client.disconnect(true)
  }

  end (): void {
    this.#isEnded = true
    clearTimeout(this.#handshake)
    end(this.client)
  }

  readonly #onConnecting = (): void => {
    this.#hasFailed = false
    this.#isElsewhere = false
    clearTimeout(this.#handshake)
    const target = this.#target
    if (target?.isTls !== true || this.#isEnded) return
    this.#handshake = setTimeout(() => { if (this.client.status === 'connecting') this.#diagnose(target, undefined) }, handshakeTime).unref()
  }

  readonly #onReady = (): void => {
    if (this.#isElsewhere) return
    this.#isReconnecting = false
    this.health.well(this.#line)
    if (isCluster(this.client)) this.#connectMasters(this.client)
    else this.#teach(this.client)
  }

  readonly #onError = (error: Error & { command?: { name: string } }): void => {
    const isSummary = this.#sentinelError !== undefined && error.message.startsWith('All sentinels')
    this.#failed(isSummary ? this.#sentinelError : error)
    if (error.command?.name !== 'select') return
    // ioredis goes on, with database 0.
    this.#isElsewhere = true
    this.client.disconnect(true)
  }

  #onClusterError (error: Error): void {
    if (isReady(this.client)) this.health.failed(clusterNode, error)
    else this.#failed(error)
  }

  readonly #onClose = (): void => {
    if (this.#hasFailed || this.#isReconnecting) return
    this.#failed(new Error(this.isCluster ? 'CLUSTERDOWN The Cluster is down, or CLUSTER INFO is not permitted' : 'Redis closed the connection'))
  }

  #failed (error: unknown): void {
    if (this.#isEnded) return
    this.#hasFailed = true
    const { code, isVague, message } = causeOf(error)
    // Of Sentinels and of the nodes of a Cluster ioredis hides the reason.
    const isHidden = isVague || !isCause(error) || hidden.test(message)
    const target = this.#target
    if (target !== undefined && (isHidden || (target.isTls && code === 'UNREACHABLE'))) this.#diagnose(target, error)
    else this.health.failed(this.#line, error)
  }

  /** Reports what is found, or else `error`. */
  async #diagnose (target: ProbedServer, error: unknown): Promise<void> {
    const now = performance.now()
    if (this.#isDiagnosing) return
    // What was found the last time is the reason still.
    if (now - this.#diagnosedAt < diagnoseEvery && this.health.isFailing(this.#line)) return
    this.#isDiagnosing = true
    // A server that ends closes its connections a little before its port.
    await new Promise(resolve => { setTimeout(resolve, settleTime).unref() })
    const found = await diagnose(target)
    this.#isDiagnosing = false
    this.#diagnosedAt = performance.now()
    if (this.#isEnded || (found ?? error) === undefined) return
    this.health.failed(this.#line, found ?? (isCause(error) ? error : new Error('No node of the Cluster can be reached')), now)
    if (this.isReady) this.health.well(this.#line)
  }

  /** Where the last attempt to connect went, as far as ioredis tells. */
  get #target (): ProbedServer | undefined {
    if (isCluster(this.client)) return targetOf(this.#failedNode, this.client.options.redisOptions?.tls)
    const { host, port, path, sentinels, tls } = this.client.options
    if (sentinels != null) return targetOf(this.#failedSentinel, this.client.options.sentinelTLS)
    return path == null ? targetOf(`${host}:${port}`, tls) : undefined
  }

  get #failedSentinel (): string | undefined {
    return /sentinel (\S+:\d+) because/.exec(this.#sentinelError?.message ?? '')?.[1]
  }

  /** ioredis would connect to a master with its first command, and refuse those that come until it is there. */
  #connectMasters (cluster: Cluster): void {
    if (!isReady(cluster)) return
    for (const node of cluster.nodes('master')) {
      // A failure comes as a 'node error' too.
      if (node.status === 'wait') node.connect().then(() => this.#teach(node), () => {})
      else if (node.status === 'ready') this.#teach(node)
    }
  }

  /** So that no script has to be sent with a call: sent after it was asked for in vain, it would come after later calls. */
  async #teach (connection: Redis): Promise<void> {
    if (this.#line !== 'commands') return
    await Promise.allSettled(scripts.map(({ text }) => this.ask('SCRIPT LOAD', connection.script('LOAD', text) as Promise<unknown>)))
  }
}

/** `address` is `host:port`; the host of IPv6 has colons too. */
function targetOf (address: string | undefined, tls: unknown): ProbedServer | undefined {
  const [, host, port] = /^(.+):(\d+)$/.exec(address ?? '') ?? []
  if (host === undefined) return undefined
  return { host, port: Number(port), isTls: tls !== undefined && tls !== null, hasCertificate: hasCertificate(tls) }
}

function hasCertificate (tls: unknown): boolean {
  const { cert, pfx, secureContext } = Object(tls)
  return (cert ?? pfx ?? secureContext) !== undefined
}

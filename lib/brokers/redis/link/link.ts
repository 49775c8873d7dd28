import { setTimeout as delay } from 'node:timers/promises'
import type { Cluster, Redis } from 'ioredis'
import { causeOf, isCause } from './cause.js'
import { createConnection, end, isCluster, isReady, type RedisAddress, type RedisClient } from './connection.js'
import { diagnose, type ProbedServer } from './diagnosis.js'
import { clusterNode, type Health, type Line } from './health.js'
import { scripts } from '../commands/index.js'
import type { Script } from '../commands/script.js'

/** Minimum time between two diagnoses of a connection, in ms. */
const diagnoseEvery = 5_000

/** Time between the end of a connection and its diagnosis, in ms. */
const settleTime = 50

/** Duration of a TLS handshake after which it is diagnosed, in ms: the server may not speak TLS. */
const handshakeTime = 500

/** Messages of ioredis without the reason why a Sentinel or a node of a Cluster could not be reached. */
const hidden = /Connection is closed|startup nodes/

/** A connection to Redis. Reports to the health what fails and what works. */
export class RedisLink {
  readonly client: RedisClient
  readonly health: Health
  readonly #line: Line
  /** Whether a failure was reported since the last attempt to connect began. */
  #hasFailed = false
  /** Whether the server uses another database than requested. */
  #isElsewhere = false
  /** Whether the connection is being replaced on purpose. */
  #isReconnecting = false
  /** Aborted when this has ended; ends a diagnosis, too. */
  readonly #ending = new AbortController()
  #isDiagnosing = false
  #diagnosedAt = -Infinity
  #handshake: NodeJS.Timeout | undefined
  /** Error of the last Sentinel, which the summary of ioredis leaves out. */
  #sentinelError: Error | undefined
  /** Node of a Cluster that failed last, as `host:port`. */
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

  /** Connects, and reconnects by itself until `end`. */
  start (): void {
    // Failures are also emitted as events, except unresolvable names of a Cluster's nodes.
    this.client.connect().catch(error => { if (isCluster(this.client)) this.#failed(error) })
  }

  get isReady (): boolean {
    return isReady(this.client)
  }

  get isCluster (): boolean {
    return isCluster(this.client)
  }

  /** Command for announcements. Sharded pub/sub in a Cluster: an announcement then reaches one of its nodes instead of all. */
  get publishCommand (): 'PUBLISH' | 'SPUBLISH' {
    return this.isCluster ? 'SPUBLISH' : 'PUBLISH'
  }

  /** Runs a script. Rejects with the errors of Redis and ioredis. */
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

  /** Outcome of a sent command. Reports it to the health. */
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

  get #isEnded (): boolean {
    return this.#ending.signal.aborted
  }

  /** Reconnects, because the server is no longer the right one. */
  reconnect (): void {
    this.#isReconnecting = true
    this.client.disconnect(true)
  }

  end (): void {
    this.#ending.abort()
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
    // ioredis would continue with database 0.
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
    // ioredis hides the reason for Sentinels and nodes of a Cluster.
    const isHidden = isVague || !isCause(error) || hidden.test(message)
    const target = this.#target
    if (target !== undefined && (isHidden || (target.isTls && code === 'UNREACHABLE'))) this.#diagnose(target, error)
    else this.health.failed(this.#line, error)
  }

  /** Diagnoses a failure. Reports the result, or else `error`. */
  async #diagnose (target: ProbedServer, error: unknown): Promise<void> {
    const now = performance.now()
    if (this.#isDiagnosing) return
    // The last result is still the reason.
    if (now - this.#diagnosedAt < diagnoseEvery && this.health.isFailing(this.#line)) return
    this.#isDiagnosing = true
    // A server that stops closes its connections shortly before its port.
    const { signal } = this.#ending
    await delay(settleTime, undefined, { signal, ref: false }).catch(() => {})
    const found = await diagnose(target, signal)
    this.#isDiagnosing = false
    this.#diagnosedAt = performance.now()
    if (this.#isEnded || (found ?? error) === undefined) return
    // With a single server, an error that is no cause follows one that is. The health ignores it.
    const known = isCause(error) || !this.isCluster ? error : new Error('No node of the Cluster can be reached')
    this.health.failed(this.#line, found ?? known, now)
    if (this.isReady) this.health.well(this.#line)
  }

  /** Server of the last attempt to connect, if ioredis reports it. */
  get #target (): ProbedServer | undefined {
    if (isCluster(this.client)) return targetOf(this.#failedNode, this.client.options.redisOptions?.tls)
    const { host, port, path, sentinels, tls } = this.client.options
    if (sentinels != null) return targetOf(this.#failedSentinel, this.client.options.sentinelTLS)
    return path == null ? targetOf(`${host}:${port}`, tls) : undefined
  }

  get #failedSentinel (): string | undefined {
    return /sentinel (\S+:\d+) because/.exec(this.#sentinelError?.message ?? '')?.[1]
  }

  /** Connects to all masters. ioredis would connect with the first command, and reject commands until it is connected. */
  #connectMasters (cluster: Cluster): void {
    if (!isReady(cluster)) return
    for (const node of cluster.nodes('master')) {
      // A failure is also emitted as 'node error'.
      if (node.status === 'wait') node.connect().then(() => this.#teach(node), () => {})
      else if (node.status === 'ready') this.#teach(node)
    }
  }

  /** Loads all scripts. A script that is sent only after a NOSCRIPT would run after later calls. */
  async #teach (connection: Redis): Promise<void> {
    if (this.#line !== 'commands') return
    await Promise.allSettled(scripts.map(({ text }) => this.ask('SCRIPT LOAD', connection.script('LOAD', text) as Promise<unknown>)))
  }
}

/** `address`: `host:port`; an IPv6 host contains colons too. */
function targetOf (address: string | undefined, tls: unknown): ProbedServer | undefined {
  const [, host, port] = /^(.+):(\d+)$/.exec(address ?? '') ?? []
  if (host === undefined) return undefined
  return { host, port: Number(port), isTls: tls !== undefined && tls !== null, hasCertificate: hasCertificate(tls) }
}

function hasCertificate (tls: unknown): boolean {
  const { cert, pfx, secureContext } = Object(tls)
  return (cert ?? pfx ?? secureContext) !== undefined
}

import { randomInt } from 'node:crypto'
import type { Duplex } from 'node:stream'
import type { FastifyBaseLogger, FastifyRequest } from 'fastify'
import type { WebSocket } from 'ws'
import { closeCodes, formatDelay } from '../protocol/close-codes.js'
import { formatPosition } from '../protocol/position.js'
import { Access, expiry } from './access.js'
import { Catalogue } from './catalogue.js'
import { caught } from './caught.js'
import { channelsOf, labelOf, type Target } from './channels.js'
import { Connection, type ConnectionContext, type Counters } from './connection.js'
import { Flusher } from './flush.js'
import { textFrame } from './frame.js'
import type { Identity, OnMessage } from './hooks.js'
import { Hub } from './hub.js'
import { Liveness } from './liveness.js'
import type { ResolvedOptions } from './options.js'
import { sinceOf, startOf } from './recovery.js'
import { Subscription } from './subscription.js'
import { Timers } from './timers.js'

/** A handshake that was completed. */
export interface Arrival {
  socket: WebSocket
  /** What the WebSocket runs on. */
  stream: Duplex
  request: FastifyRequest
  identity: Identity
  target: Target
}

/** The parts that make one server, and a connection's way through them: accepted, opened, ended. */
export class RealtimeServer {
  readonly options: ResolvedOptions
  readonly catalogue: Catalogue
  readonly access: Access
  readonly hub = new Hub()
  readonly timers = new Timers()
  readonly counters: Counters = { deliveries: 0, writes: 0, resyncs: 0, stalls: 0 }
  /** New connections and publications are refused. */
  isDraining = false
  readonly #log: FastifyBaseLogger
  readonly #flusher = new Flusher()
  readonly #liveness: Liveness
  readonly #context: ConnectionContext
  /** Connections whose onConnect succeeded: each is owed an onDisconnect. */
  readonly #greeted = new WeakSet<Connection>()
  /** Tells the connections of this process from those of another. */
  readonly #prefix = randomInt(36 ** 5).toString(36)
  #accepted = 0
  #onEmpty: (() => void) | undefined

  /** Throws RT_ERR_OPTIONS when a message schema cannot be used. */
  constructor (options: ResolvedOptions, log: FastifyBaseLogger) {
    const { messages, strict, limits, heartbeat, timeouts } = options
    this.options = options
    this.#log = log
    this.catalogue = new Catalogue({ messages, strict, maxBytes: limits.message })
    this.access = new Access({ ...options, timeout: timeouts.authenticate, timers: this.timers, log })
    this.#liveness = new Liveness({ ...heartbeat, stall: timeouts.stall })
    this.#context = {
      catalogue: this.catalogue,
      flusher: this.#flusher,
      liveness: this.#liveness,
      counters: this.counters,
      timers: this.timers,
      log,
      handlers: new Map(Object.entries(options.onMessage) as Array<[string, OnMessage]>),
      inboundLimits: { ...limits, handlerTimeout: timeouts.handler },
      maxOutbox: Math.max(limits.lag, limits.message * 2)
    }
  }

  /** Whether one more can connect beside those that are about to. */
  hasRoom (pending: number): boolean {
    const { limits } = this.options
    return pending < limits.pending && this.hub.size + pending < limits.connections
  }

  async start (): Promise<void> {
    await this.options.broker.open((channel, position, body) =>
      textFrame(`${body.slice(0, -1)},"id":"${formatPosition(labelOf(channel), position)}"}`))
  }

  /** Takes over a WebSocket. Never rejects: what goes wrong closes it. */
  async accept (arrival: Arrival): Promise<void> {
    const { socket, stream, identity, target } = arrival
    const isOneTooMany = this.hub.count(identity.userId) >= this.options.limits.connectionsPerUser
    const id = `${this.#prefix}-${(++this.#accepted).toString(36)}`
    const connection = new Connection(socket, stream, this.#context, { id, identity, target, onClosed: this.#onClosed })
    if (isOneTooMany) return connection.expel(closeCodes.TOO_MANY)
    this.hub.add(connection)
    if (this.isDraining) return this.#sendAway(connection)
    try {
      await this.#welcome(connection, arrival)
    } catch (error) {
      this.#log.error({ err: caught(error), connectionId: id }, 'realtime: a connection could not be opened')
      connection.close(closeCodes.HANDLER_FAILED.code)
    }
  }

  /** Subscribes before the hook runs, so that nothing published from then on is missed. */
  async #welcome (connection: Connection, { request, identity, target }: Arrival): Promise<void> {
    const { onConnect, broker, timeouts, heartbeat } = this.options
    const since = sinceOf(request.query, target)
    const logs = await this.timers.within(timeouts.connect, Promise.all(channelsOf(target).map(async channel =>
      ({ label: labelOf(channel), log: await broker.subscribe(channel) }))))
    if (connection.state !== 'opening') return
    const { offsets, recovered } = startOf(logs, since)
    const subscriptions = logs.map(({ label, log }, at) => new Subscription(connection, label, log, offsets[at]))
    connection.subscribed(subscriptions)
    const positions = () => subscriptions.map(subscription => subscription.position).join(',')
    let position = positions()

    const greeting = Promise.resolve(onConnect?.(connection, request))
    greeting.then(() => this.#greet(connection), () => {})
    await this.timers.within(timeouts.connect, greeting)
    if (connection.state !== 'opening') return
    this.#expire(connection)
    const isLost = recovered === true && subscriptions.some(subscription => subscription.isLost())
    if (isLost) {
      for (const subscription of subscriptions) subscription.skipToHead()
      position = positions()
    }
    const replayed = subscriptions.reduce((sum, subscription) => sum + subscription.behind, 0)
    connection.open({
      user_id: identity.userId,
      connection_id: connection.id,
      position,
      recovered: isLost ? false : recovered,
      replayed,
      heartbeat_ms: heartbeat.interval
    })
  }

  /** Its onConnect succeeded, be it too late: it is owed an onDisconnect. */
  #greet (connection: Connection): void {
    if (connection.closed === undefined) this.#greeted.add(connection)
    else this.#farewell(connection, connection.closed.code, connection.closed.reason)
  }

  #expire (connection: Connection): void {
    const at = expiry(connection.identity)
    if (at === Infinity) return
    connection.onEnd = this.timers.after(Math.max(0, at - Date.now()), () => connection.close(closeCodes.UNAUTHENTICATED.code))
  }

  readonly #onClosed = (connection: Connection, code: number, reason: string): void => {
    this.hub.remove(connection)
    if (this.#greeted.delete(connection)) this.#farewell(connection, code, reason)
    if (this.hub.size === 0) this.#onEmpty?.()
  }

  #farewell (connection: Connection, code: number, reason: string): void {
    const { onDisconnect } = this.options
    if (onDisconnect === undefined) return
    // The async function turns a throw into a rejection.
    const ended = (async () => onDisconnect(connection, { code, reason }))()
    ended.catch(error => this.#log.error({ err: caught(error), connectionId: connection.id }, 'realtime: onDisconnect failed'))
  }

  /**
   * Refuses what is new, writes what is due, and asks every client to come back, each after a delay of its own.
   * Resolves when all have gone, or after `timeouts.drain`, when those that are left are terminated.
   */
  async drain (): Promise<void> {
    this.isDraining = true
    if (this.hub.size > 0) {
      await new Promise<void>(resolve => {
        this.#onEmpty = resolve
        this.timers.after(this.options.timeouts.drain, resolve)
        for (const connection of this.hub.connections()) this.#sendAway(connection)
      })
    }
    for (const connection of this.hub.connections()) connection.terminate()
  }

  #sendAway (connection: Connection): void {
    connection.closeGently(closeCodes.RESTART, formatDelay(Math.random() * this.options.timeouts.spread))
  }

  /** Ends everything that is left. */
  async close (): Promise<void> {
    for (const connection of this.hub.connections()) connection.terminate()
    this.#flusher.close()
    this.#liveness.close()
    this.timers.close()
    await this.options.broker.close()
  }
}

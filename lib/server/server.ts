import { randomInt } from 'node:crypto'
import type { Duplex } from 'node:stream'
import type { FastifyBaseLogger, FastifyRequest } from 'fastify'
import type { WebSocket } from 'ws'
import { closeCodes, formatDelay, type CloseCode } from '../protocol/close-codes.js'
import { formatPosition } from '../protocol/position.js'
import { Access, expiry } from './access.js'
import { Catalogue } from './catalogue.js'
import { caught } from './caught.js'
import { channelsOf, labelOf, type Target } from './channels.js'
import { Connection, type Closed, type ConnectionContext, type Counters } from './connection.js'
import { dismiss } from './dismiss.js'
import { Flusher } from './flush.js'
import { textFrame } from './frame.js'
import type { Identity, OnMessage } from './hooks.js'
import { Hub } from './hub.js'
import { Liveness } from './liveness.js'
import type { ResolvedOptions } from './options.js'
import { Recovery, sinceOf } from './recovery.js'
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
  /** Upgrade requests that are still to be answered. */
  readonly #pending = new Set<Duplex>()
  /** Sockets that were told why they may not connect, until they are gone. */
  readonly #refused = new Set<WebSocket>()
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

  /** Whether one more can connect. */
  hasRoom (): boolean {
    const { limits } = this.options
    const { size } = this.#pending
    return size < limits.pending && this.hub.size + this.#refused.size + size < limits.connections
  }

  /** Counts a handshake among the pending ones until its stream closes or the returned function is called. */
  reserve (stream: Duplex): () => void {
    const release = () => {
      stream.off('close', release)
      this.#pending.delete(stream)
      this.#onGone()
    }
    this.#pending.add(stream)
    stream.once('close', release)
    return release
  }

  async start (): Promise<void> {
    await this.options.broker.open((channel, position, body) =>
      textFrame(`${body.slice(0, -1)},"id":"${formatPosition(labelOf(channel), position)}"}`))
  }

  /** Closes a WebSocket that will not be a connection. */
  refuse (socket: WebSocket, code: CloseCode): void {
    this.#refused.add(socket)
    socket.once('close', () => {
      this.#refused.delete(socket)
      this.#onGone()
    })
    dismiss(socket, code, this.timers)
  }

  /** Takes over a WebSocket. */
  accept (arrival: Arrival): void {
    const { socket, stream, identity, target } = arrival
    if (this.hub.count(identity.userId) >= this.options.limits.connectionsPerUser) return this.refuse(socket, closeCodes.TOO_MANY)
    const id = `${this.#prefix}-${(++this.#accepted).toString(36)}`
    const connection = new Connection(socket, stream, this.#context, { id, identity, target, onClosed: this.#onClosed })
    this.hub.add(connection)
    if (this.isDraining) return this.#sendAway(connection)
    this.#welcome(connection, arrival).catch(error => {
      connection.close(closeCodes.HANDLER_FAILED.code)
      this.#log.error({ err: caught(error), connectionId: id }, 'realtime: a connection could not be opened')
    })
  }

  /** Subscribes before onConnect runs, so that nothing published from then on is missed. */
  async #welcome (connection: Connection, { request, target }: Arrival): Promise<void> {
    const { broker, timeouts, heartbeat } = this.options
    const logs = await this.timers.within(timeouts.connect, Promise.all(channelsOf(target).map(async channel =>
      ({ label: labelOf(channel), log: await broker.subscribe(channel) }))))
    if (connection.state !== 'opening') return
    const recovery = new Recovery(connection, logs, sinceOf(request.query, target))
    connection.subscribed(recovery.subscriptions)
    await this.#greet(connection, request)
    if (connection.state !== 'opening') return
    this.#expire(connection)
    connection.open({
      user_id: connection.userId,
      connection_id: connection.id,
      ...recovery.conclude(),
      heartbeat_ms: heartbeat.interval
    })
  }

  /** Runs onConnect. When it succeeds, be it too late, the connection is owed an onDisconnect. */
  async #greet (connection: Connection, request: FastifyRequest): Promise<void> {
    const { onConnect, timeouts } = this.options
    const greeting = Promise.resolve(onConnect?.(connection, request)).then(() => {
      if (connection.closed === undefined) this.#greeted.add(connection)
      else this.#disconnected(connection, connection.closed)
    })
    await this.timers.within(timeouts.connect, greeting)
  }

  #expire (connection: Connection): void {
    const at = expiry(connection.identity)
    if (at === Infinity) return
    connection.onEnd = this.timers.after(Math.max(0, at - Date.now()), () => connection.close(closeCodes.UNAUTHENTICATED.code))
  }

  readonly #onClosed = (connection: Connection, how: Closed): void => {
    this.hub.remove(connection)
    if (this.#greeted.delete(connection)) this.#disconnected(connection, how)
    this.#onGone()
  }

  #disconnected (connection: Connection, how: Closed): void {
    const { onDisconnect } = this.options
    if (onDisconnect === undefined) return
    // The async function turns a throw into a rejection.
    const ended = (async () => onDisconnect(connection, how))()
    ended.catch(error => this.#log.error({ err: caught(error), connectionId: connection.id }, 'realtime: onDisconnect failed'))
  }

  #onGone (): void {
    if (this.hub.size + this.#pending.size + this.#refused.size === 0) this.#onEmpty?.()
  }

  /**
   * Refuses what is new, writes what is due, and asks every client to come back, each after a delay of its own.
   * Resolves when all have gone, or after `timeouts.drain`, when those that are left are terminated.
   */
  async drain (): Promise<void> {
    this.isDraining = true
    await new Promise<void>(resolve => {
      this.#onEmpty = resolve
      this.timers.after(this.options.timeouts.drain, resolve)
      for (const connection of this.hub.connections()) this.#sendAway(connection)
      this.#onGone()
    })
    this.#terminate()
  }

  #sendAway (connection: Connection): void {
    connection.closeGently(closeCodes.RESTART, formatDelay(Math.random() * this.options.timeouts.spread))
  }

  #terminate (): void {
    for (const connection of this.hub.connections()) connection.terminate()
    for (const socket of this.#refused) socket.terminate()
    for (const stream of this.#pending) stream.destroy()
  }

  /** Ends everything that is left. */
  async close (): Promise<void> {
    this.#terminate()
    this.#flusher.close()
    this.#liveness.close()
    this.timers.close()
    await this.options.broker.close()
  }
}

import { randomInt } from 'node:crypto'
import { Value } from '@sinclair/typebox/value'
import type { FastifyBaseLogger, FastifyRequest } from 'fastify'
import type { WebSocket } from 'ws'
import { ChannelLog } from '../brokers/channel-log.js'
import { ChatLog } from '../brokers/chat-log.js'
import { Log, type FrameOf } from '../brokers/log.js'
import { errors } from '../errors.js'
import { closeCodes, formatDelay, type CloseCode } from '../protocol/close-codes.js'
import { Renewal, type Limits, type Message } from '../protocol/envelope.js'
import { formatPosition, type Label } from '../protocol/position.js'
import { Access, codesOf, isClientError } from './access.js'
import { Answers } from './answers.js'
import type { AwaitedByServer } from './awaited.js'
import { Catalogue } from './catalogue.js'
import { caught, report } from './caught.js'
import { channelsOf, labelOf, ownerOf, type Target } from './channels.js'
import { Cluster } from './cluster.js'
import { Connection, type ConnectionContext, type Counters } from './connection.js'
import { dismiss } from './dismiss.js'
import { Flusher } from './flush.js'
import { deflatableFrame, textFrame } from './frame.js'
import type { Identity, OnConnect, Renew } from './hooks.js'
import { Hub } from './hub.js'
import { expiry, identityOf, renewalFault } from './identity.js'
import { Refusal } from './inbound.js'
import { Intakes } from './intake.js'
import { Liveness } from './liveness.js'
import { LoopClock } from './loop-clock.js'
import { rowOf, type MessageRow } from './message-row.js'
import type { ResolvedOptions } from './options.js'
import { PendingHandshakes, type PeerStream } from './pending.js'
import { Publisher } from './publisher.js'
import { Recovery, sinceOf, type LabelledLog } from './recovery.js'
import { redacted, secretsOf } from './redacted.js'
import { Refusals } from './refusals.js'
import { addressOf, noteError, proxiedAddressOf } from './refused-request.js'
import { Timers } from './timers.js'
import { warnOf } from './watched.js'

/** Time for the app's hooks around `authenticate`, beside its timeout, in ms. */
const handshakeGrace = 1_000

/** For this share of the drain connections that handle a message are let alone. */
const patientShare = 0.8

/** A handshake that was completed. */
export interface Arrival {
  socket: WebSocket
  /** What the WebSocket runs on. */
  stream: PeerStream
  request: FastifyRequest
  identity: Identity
  target: Target
}

/** What is built on top of a server. */
export interface Extension {
  /** For clients' messages of types that the app does not handle. */
  rows: ReadonlyMap<string, MessageRow>
  /** For those that the app may handle, and does not. */
  fallbacks: ReadonlyMap<string, MessageRow>
  /** Whether somebody may see a publication of a chat, where that depends on who it is. */
  sees?: (message: Message, identity: Identity) => boolean
}

/** A new credential that was accepted. */
interface Renewed {
  identity: Identity
  /** Its identity may be connected to the target. */
  isAllowed: boolean
}

/** The parts that make one server, and a connection's way through them: accepted, opened, ended. */
export class RealtimeServer {
  readonly options: ResolvedOptions
  readonly catalogue: Catalogue
  readonly access: Access
  readonly hub = new Hub()
  readonly timers = new Timers()
  readonly refusals: Refusals
  /** Upgrade requests that are still to be answered. */
  readonly pending: PendingHandshakes
  readonly counters: Counters = { deliveries: 0, writes: 0, resyncs: 0, stalls: 0, holds: 0 }
  readonly publisher: Publisher
  /** The other servers of the app, where there are any. */
  readonly cluster: Cluster | undefined
  /** New connections and publications are refused. */
  isDraining = false
  readonly #log: FastifyBaseLogger
  readonly #flusher = new Flusher()
  readonly #liveness: Liveness
  readonly #context: ConnectionContext
  readonly #rows: Map<string, MessageRow>
  readonly #clock = new LoopClock()
  readonly #intakes: Intakes
  /** What `connection_ack` says of the limits. */
  readonly #clientLimits: Limits
  #sees: Extension['sees']
  /** Sockets that were told why they may not connect, until they are gone; the oldest first. */
  readonly #refused = new Set<WebSocket>()
  /** Tells the connections of this process from those of another. */
  readonly #prefix = randomInt(36 ** 5).toString(36)
  #accepted = 0
  /** Connections that are closed, and whose onDisconnect hooks run. */
  readonly #departing = new Set<Connection>()
  #onEmpty: (() => void) | undefined

  /** Throws RT_ERR_OPTIONS when a message schema cannot be used. */
  constructor (options: ResolvedOptions, log: FastifyBaseLogger) {
    const { messages, strict, limits, heartbeat, timeouts } = options
    this.options = options
    this.#log = log
    this.refusals = new Refusals(log, this.timers)
    this.#clientLimits = { frame: limits.frame, nodes: limits.nodes, rate: limits.rate, burst: limits.burst }
    this.catalogue = new Catalogue({ messages, strict, maxBytes: limits.message })
    const { catalogue, timers } = this
    this.publisher = new Publisher({ broker: options.broker, catalogue, timers, isClosing: () => this.isDraining, onUnheard: warnOf(log, 'A message was not sent') })
    this.cluster = options.broker.nodes && new Cluster(options.broker.nodes, timers, log)
    this.cluster?.on('disconnect', ({ userId, code }) => this.#disconnect(userId, code))
    this.access = new Access({ ...options, timeout: timeouts.authenticate, timers: this.timers, log, refusals: this.refusals })
    const time = timeouts.authenticate + handshakeGrace
    this.pending = new PendingHandshakes({ limit: limits.pending, time, timers, onGone: () => this.#onGone() })
    this.#liveness = new Liveness({ ...heartbeat, stall: timeouts.stall })
    this.#rows = this.#ownRows()
    this.#intakes = new Intakes({ rate: limits.userRate, burst: limits.userBurst, bytes: limits.waiting }, {
      clock: this.#clock,
      timers,
      onHold: () => { this.counters.holds++ }
    })
    this.#context = {
      catalogue: this.catalogue,
      answers: new Answers({ handlerTime: timeouts.handler, cluster: this.cluster }),
      intakes: this.#intakes,
      clock: this.#clock,
      flusher: this.#flusher,
      liveness: this.#liveness,
      counters: this.counters,
      refusals: this.refusals,
      timers: this.timers,
      log,
      rows: this.#rows,
      inboundLimits: { ...limits, handlerTimeout: timeouts.handler },
      maxOutbox: Math.max(limits.lag, limits.message * 2)
    }
  }

  /** Those of the app's handlers, and the one for credentials. */
  #ownRows (): Map<string, MessageRow> {
    const { onMessage, renew } = this.options
    const rows = new Map(Object.entries(onMessage).map(([type, handler]) => [type, rowOf(handler!)]))
    // On each connection, however often.
    if (renew !== undefined) rows.set('renew', { handle: ({ data }, connection) => this.#renew(renew, data, connection as Connection) })
    return rows
  }

  /** Before `start`. Throws RT_ERR_OPTIONS when the app has a handler for what is handled already. */
  extend ({ rows, fallbacks, sees }: Extension): void {
    for (const [type, row] of rows) {
      if (this.#rows.has(type)) throw new errors.OPTIONS(`'onMessage.${type}': the plugin handles '${type}' itself. Choose another type`)
      this.#rows.set(type, row)
    }
    for (const [type, row] of fallbacks) if (!this.#rows.has(type)) this.#rows.set(type, row)
    this.#sees = sees
  }

  /** Calls `action`, which must not throw, after this turn of the event loop and before what it publishes is written. */
  readonly soon = (action: () => void): void => this.#flusher.before(action)

  async #renew (renew: Renew, data: unknown, connection: Connection): Promise<void> {
    if (!Value.Check(Renewal, data)) throw new Refusal('bad_message', '/data must be { token }')
    const renewed = await this.#renewed(renew, data.token, connection)
    if (renewed === undefined) throw new Refusal('renew_refused', 'this credential is not accepted')
    // A timer would hold on to it until the credential expires.
    if (connection.isEnding) return
    const { identity, isAllowed } = renewed
    if (!isAllowed) return connection.close(closeCodes.FORBIDDEN.code)
    connection.identity = identity
    this.#expire(connection)
    connection.control('renewed', { data: { expires_in_ms: expiresIn(identity) } })
  }

  /** Whom the new credential stands for, and whether they may stay; `undefined` when it is refused. Never rejects. */
  async #renewed (renew: Renew, token: string, connection: Connection): Promise<Renewed | undefined> {
    connection.noteAddress()
    try {
      return await this.timers.within(this.options.timeouts.authenticate, this.#askAgain(renew, token, connection))
    } catch (thrown) {
      const error = caught(thrown)
      if (isClientError(error)) this.refusals.add('renew_refused', connection.client, codesOf(error))
      else this.refusals.add('renew_failed', connection.client, undefined, () => redacted(error, [token]))
      return undefined
    }
  }

  /** Asks `renew`, then `authorize`. */
  async #askAgain (renew: Renew, token: string, connection: Connection): Promise<Renewed | undefined> {
    const identity = await identityOf('renew', renew(token, connection))
    const fault = renewalFault(identity, connection.userId)
    if (fault !== undefined) {
      this.refusals.add('renew_refused', connection.client, fault)
      return undefined
    }
    const denial = await this.access.denial(identity!, connection.target)
    if (denial !== undefined) this.refusals.add(denial.reason, connection.client, denial.detail)
    return { identity: identity!, isAllowed: denial === undefined }
  }

  /** Whether one more can connect. */
  hasRoom (): boolean {
    return this.#isBelowConnections() && this.pending.hasRoom
  }

  #isBelowConnections (): boolean {
    return this.hub.size + this.pending.size < this.options.limits.connections
  }

  /** Notes why a request on a channel route was answered with an error. */
  noteError (request: FastifyRequest, error: { code?: string }): void {
    noteError(this.refusals, request, error, this.#isBelowConnections() ? 'handshakes' : 'connections')
  }

  async start (): Promise<void> {
    const encode = this.options.compression ? deflatableFrame : textFrame
    const framesOf = (label: Label): FrameOf => (position, body) => encode(`${body.slice(0, -1)},"id":"${formatPosition(label, position)}"}`)
    const frames = { u: framesOf('u'), b: framesOf('b'), c: framesOf('c') }
    await this.options.broker.open((channel, epoch, limits) => {
      const label = labelOf(channel)
      return label === 'c' ? new ChatLog(epoch, limits, frames.c) : new ChannelLog(epoch, limits, frames[label])
    }, { log: this.#log, ownerOf, stored: this.options.limits.stored })
  }

  /** Closes a WebSocket that will not be a connection. */
  refuse (socket: WebSocket, code: CloseCode): void {
    // Who may not connect must not keep those out who may.
    if (this.#refused.size >= this.options.limits.pending) this.#oldestRefused().terminate()
    this.#refused.add(socket)
    // What a client did wrong is answered with a Close by `ws`, and every loss ends in 'close'.
    socket.on('error', () => {})
    socket.once('close', () => {
      this.#refused.delete(socket)
      this.#onGone()
    })
    dismiss(socket, code, this.timers)
  }

  #oldestRefused (): WebSocket {
    const [oldest] = this.#refused
    this.#refused.delete(oldest)
    return oldest
  }

  /** Takes over a WebSocket. */
  accept (arrival: Arrival): void {
    const { socket, stream, request, identity, target } = arrival
    if (!this.hub.hasRoom(identity.userId, this.options.limits.connectionsPerUser)) {
      this.refusals.add('user_connections', { userId: identity.userId, remoteAddress: addressOf(request) })
      return this.refuse(socket, closeCodes.TOO_MANY)
    }
    const id = `${this.#prefix}-${(++this.#accepted).toString(36)}`
    const connection = new Connection(socket, stream, this.#context, {
      id,
      identity,
      target,
      proxiedAddress: proxiedAddressOf(request),
      isDeflated: takesDeflated(arrival),
      sees: target.kind === 'chat' ? this.#sees : undefined,
      onClosed: this.#onClosed
    })
    this.hub.add(connection)
    connection.charge(0)
    if (this.isDraining) {
      this.refusals.add('closing', connection.client)
      return this.#sendAway(connection)
    }
    this.#welcome(connection, arrival).catch(thrown => {
      const error = () => redacted(thrown, secretsOf(request))
      if (connection.isEnding) report(this.#log, error(), 'onConnect failed, or the broker did, after the connection had ended', { connectionId: id })
      else connection.turnAway('not_opened', error)
    })
  }

  /** Whether the user may have one more, counting those on other servers. */
  async #enter ({ userId, id }: Connection, { nodes }: Cluster): Promise<boolean> {
    return nodes.enter(userId, id, this.options.limits.connectionsPerUser)
  }

  /** Subscribes before onConnect runs, so that nothing published from then on is missed. */
  async #welcome (connection: Connection, { request, target }: Arrival): Promise<void> {
    const { onConnect, timeouts } = this.options
    // What takes time can end with the client gone.
    if (this.cluster !== undefined || connection.isUserHeld || onConnect !== undefined) connection.noteAddress()
    if (this.cluster !== undefined && !await this.#enter(connection, this.cluster)) return connection.turnAway('user_connections')
    // Whoever reconnects too often waits.
    if (connection.isUserHeld) await connection.whenFree()
    if (connection.state !== 'opening') return
    const logs = await this.#subscribe(target)
    if (connection.state !== 'opening') return
    const recovery = new Recovery(connection, logs, sinceOf(request.query, target))
    connection.subscribed(recovery.subscriptions)
    if (onConnect === undefined) connection.isGreeted = true
    else await this.timers.within(timeouts.connect, this.#greet(onConnect, connection, request))
    if (connection.state === 'opening') this.#open(connection, recovery)
  }

  async #subscribe (target: Target): Promise<LabelledLog[]> {
    const { broker, timeouts } = this.options
    const channels = channelsOf(target)
    const found = channels.map(channel => broker.subscribe(channel))
    // Nothing to wait for with the memory broker.
    const isThere = found.every(log => log instanceof Log)
    const logs = isThere ? found : await this.timers.within(timeouts.connect, Promise.all(found))
    return logs.map((log, at) => ({ label: labelOf(channels[at]), log }))
  }

  /** When onConnect succeeds, be it too late, the connection is owed an onDisconnect. */
  async #greet (onConnect: OnConnect, connection: Connection, request: FastifyRequest): Promise<void> {
    await onConnect(connection, request)
    if (connection.state === 'closed') this.#disconnected(connection)
    else connection.isGreeted = true
  }

  #open (connection: Connection, recovery: Recovery): void {
    this.#expire(connection)
    const { position, recovered, replayed, bytes } = recovery.conclude()
    if (bytes > 0) connection.charge(bytes)
    connection.open({
      user_id: connection.userId,
      connection_id: connection.id,
      position,
      recovered,
      replayed,
      heartbeat_ms: this.options.heartbeat.interval,
      expires_in_ms: expiresIn(connection.identity),
      limits: this.#clientLimits
    })
  }

  #expire (connection: Connection): void {
    connection.onEnd?.()
    const at = expiry(connection.identity)
    if (at === Infinity) return
    connection.onEnd = this.timers.at(at, () => connection.turnAway('credential_expired'))
  }

  readonly #onClosed = (connection: Connection): void => {
    this.hub.remove(connection)
    this.cluster?.nodes.leave(connection.userId, connection.id)
    if (connection.isGreeted) this.#disconnected(connection)
    this.#onGone()
  }

  /** Closes a user's connections on all servers. How many there are here. */
  disconnectUser (userId: string, code: number): number {
    this.cluster?.tell('disconnect', { userId, code })
    return this.#disconnect(userId, code)
  }

  #disconnect (userId: string, code: number): number {
    const connections = this.hub.connections(userId).filter(({ isEnding }) => !isEnding)
    for (const connection of connections) connection.close(code)
    return connections.length
  }

  async #disconnected (connection: Connection): Promise<void> {
    const { onDisconnect } = this.options
    if (onDisconnect === undefined) return
    this.#departing.add(connection)
    try {
      await onDisconnect(connection, connection.closed!)
    } catch (error) {
      report(this.#log, error, 'onDisconnect failed', { connectionId: connection.id })
    }
    this.#departing.delete(connection)
    this.#onGone()
  }

  #onGone (): void {
    if (this.hub.size + this.#departing.size + this.pending.size + this.#refused.size === 0) this.#onEmpty?.()
  }

  /**
   * Refuses what is new, writes what is due, and asks every client to come back, each after a delay of its own. Those
   * that are busy are asked once their handler is done, or when time is nearly up. Resolves when all have gone and the
   * hooks are done, or after so many milliseconds, when what is left is terminated.
   */
  async drain (ms: number): Promise<void> {
    this.isDraining = true
    await new Promise<void>(resolve => {
      this.#onEmpty = resolve
      this.timers.after(ms, resolve)
      this.timers.after(ms * patientShare, () => {
        for (const connection of this.hub.connections()) connection.closeNow()
      })
      for (const connection of this.hub.connections()) this.#sendAway(connection)
      this.#onGone()
    })
    this.#terminate()
  }

  /** What a drain waits for. */
  awaited (): AwaitedByServer {
    const connections = this.hub.connections()
    return {
      handlers: connections.flatMap(({ id, handling }) => handling.map(type => ({ type, connectionId: id }))),
      onDisconnect: [...this.#departing].map(({ id }) => id),
      handshakes: this.pending.size,
      connections: connections.length + this.#refused.size
    }
  }

  #sendAway (connection: Connection): void {
    connection.closeGently(closeCodes.RESTART, formatDelay(Math.random() * this.options.timeouts.spread))
  }

  #terminate (): void {
    for (const connection of this.hub.connections()) connection.terminate()
    for (const socket of this.#refused) socket.terminate()
    this.pending.destroy()
  }

  /** Ends everything that is left. */
  async close (): Promise<void> {
    this.#terminate()
    this.#flusher.close()
    this.#liveness.close()
    this.refusals.close()
    this.#clock.close()
    this.timers.close()
    this.cluster?.close()
    await this.options.broker.close()
  }
}

/** Milliseconds until an identity expires; `undefined` when it does not. */
function expiresIn (identity: Identity): number | undefined {
  const at = expiry(identity)
  return at === Infinity ? undefined : Math.max(0, Math.ceil(at - Date.now()))
}

/** A client that asks for a smaller window than ours could not read what is shared; it gets plain frames. */
function takesDeflated ({ socket, request }: Arrival): boolean {
  return socket.extensions !== '' && request.headers['sec-websocket-extensions']?.includes('server_max_window_bits') === false
}

import type { FastifyRequest } from 'fastify'
import { ChannelLog } from '../logs/channel-log.js'
import { closeCodes } from '../protocol/close-codes.js'
import { subject } from './cluster.js'
import { Admission, enterPath } from './connection/admission.js'
import type { Connection, ConnectionContext } from './connection/connection.js'
import { Departures } from './connection/departures.js'
import { framesOf } from './delivery/frame.js'
import { Hub, presenceKey } from './connection/hub.js'
import { Liveness } from './connection/liveness.js'
import { answerFrom } from './messages/answer.js'
import type { Counters } from './reports/counters.js'
import { PendingHandshakes } from './handshake/pending.js'
import { noteError } from './handshake/refused-request.js'
import { RefusedSockets } from './handshake/refused-sockets.js'
import { CredentialRenewal } from './access/renewal.js'
import { Answers } from './inbound/answers.js'
import { Handlers } from './inbound/handlers.js'
import { UserRates } from './inbound/user-rate.js'
import { rowOf, type MessageRow } from './inbound/message-row.js'
import type { KindPresence, Kinds } from './kinds.js'
import type { ServerOptions } from './options.js'
import type { ServerParts } from './parts.js'
import { subscribeRows } from './subscribing/rows.js'
import { Subscribing } from './subscribing/subscribing.js'
import { counted, type AwaitedWork } from './reports/awaited.js'
import { LoopClock } from '../time/loop-clock.js'

/** Time that a handshake gets for other hooks of the app, in addition to `timeouts.authenticate`, in ms. */
const handshakeGrace = 1_000

/** Fraction of the drain time during which connections may finish the message that they are handling. */
const patientShare = 0.8

/** Closes all connections of a user. */
const disconnectSubject = subject<{ userId: string, code: number }>('disconnect')

/** The connections of this server, from the first handshake to the last close. */
export class RealtimeServer {
  readonly parts: ServerParts
  readonly kinds: Kinds
  readonly hub = new Hub<Connection>()
  /** Upgrade requests that are not answered yet. */
  readonly pending: PendingHandshakes
  /** Refused WebSockets that are not closed yet. */
  readonly refused: RefusedSockets
  readonly admission: Admission
  readonly counters: Counters = { deliveries: 0, writes: 0, resyncs: 0, stalls: 0, holds: 0 }
  readonly #departures: Departures
  /** Presence of the kinds that have it. */
  readonly #presences: readonly KindPresence[]
  readonly #subscribing: Subscribing
  readonly #liveness: Liveness
  readonly #clock: LoopClock
  #onEmpty = () => {}

  /** Throws RT_ERR_OPTIONS if the app handles a message type that a channel kind handles. */
  constructor (parts: ServerParts, kinds: Kinds) {
    const { options, log, timers, refusals, cluster } = parts
    const { limits, heartbeat, timeouts, onDisconnect } = options
    const onGone = () => this.#onGone()
    this.parts = parts
    this.kinds = kinds
    // First, because it may throw: later, timers run.
    const rows = appRows(options)
    const handlers = new Handlers(rows, kinds)
    this.#clock = new LoopClock()
    this.#presences = kinds.all.flatMap(({ presence }) => presence ?? [])
    this.pending = new PendingHandshakes({ limit: limits.pending, time: timeouts.authenticate + handshakeGrace, timers, onGone })
    this.refused = new RefusedSockets({ limit: limits.pending, timers, onGone })
    this.#departures = new Departures({ onDisconnect, log, onGone })
    this.#liveness = new Liveness({ ...heartbeat, stall: timeouts.stall })
    this.#subscribing = new Subscribing({
      kinds,
      broker: options.broker,
      timers,
      refusals,
      clock: this.#clock,
      timeout: timeouts.authenticate,
      logTimeout: timeouts.connect,
      most: limits.channelsPerUser,
      mostOfConnection: limits.channels
    })
    this.#addRows(rows)
    this.admission = new Admission({
      ...parts,
      context: this.#context(handlers),
      hub: this.hub,
      refused: this.refused,
      departures: this.#departures,
      onClosed: connection => this.#onClosed(connection)
    })
    cluster?.on(disconnectSubject, ({ userId, code }) => { this.#disconnect(userId, code) })
  }

  /** Creates the context that all connections share. */
  #context (handlers: Handlers): ConnectionContext {
    const { options: { limits, timeouts }, cluster, timers } = this.parts
    const clock = this.#clock
    const onHold = () => { this.counters.holds++ }
    return {
      ...this.parts,
      clock,
      counters: this.counters,
      liveness: this.#liveness,
      onReleased: connection => this.#onReleased(connection),
      onUnsubscribed: (connection, channel, reason) => this.#subscribing.end(connection, channel, reason),
      handlers,
      answers: new Answers({ handlerTime: timeouts.handler, cluster }),
      userRates: new UserRates({ rate: limits.userRate, burst: limits.userBurst, bytes: limits.waiting }, { clock, timers, onHold }),
      inboundLimits: { ...limits, handlerTimeout: timeouts.handler },
      maxOutbox: Math.max(limits.lag, limits.message * 2)
    }
  }

  /** Adds the handlers of the messages about connections. */
  #addRows (rows: Map<string, MessageRow>): void {
    const { options: { renew, timeouts }, refusals, timers } = this.parts
    for (const [type, row] of subscribeRows(this.#subscribing, this.kinds)) rows.set(type, row)
    if (renew === undefined) return
    const onRenewed = (connection: Connection, isHidden: boolean) => {
      enterPath(connection, isHidden)
      return this.#subscribing.review(connection)
    }
    const renewal = new CredentialRenewal({ renew, timeout: timeouts.authenticate, access: this.parts.access, refusals, timers, onRenewed })
    // Without `onceKey`: a `renew` that is sent again is handled again.
    rows.set('renew', { handle: (message, { connection }) => renewal.handle(message, connection as Connection) })
  }

  /** Whether the server accepts another handshake. */
  hasRoom (): boolean {
    return this.#isBelowConnections() && this.pending.hasRoom
  }

  #isBelowConnections (): boolean {
    return this.hub.size + this.pending.size < this.parts.options.limits.connections
  }

  /** Records why a request on a channel route was answered with an error. */
  noteError (request: FastifyRequest, error: { code?: string }): void {
    noteError(this.parts.refusals, request, error, this.#isBelowConnections() ? 'handshakes' : 'connections')
  }

  /** Opens the broker. */
  async start (): Promise<void> {
    const { options: { broker, compression, limits }, log } = this.parts
    const unnamed = new Map(this.kinds.all.map(kind => [kind, framesOf(kind.label, compression)]))
    await broker.open((channel, epoch, limits) => {
      const kind = this.kinds.of(channel)
      const frameOf = kind.isUnnamed === true ? unnamed.get(kind)! : framesOf(kind.label, compression, channel)
      return kind.createLog?.(epoch, limits, frameOf) ?? new ChannelLog(epoch, limits, frameOf)
    }, { log, ownerOf: this.kinds.ownerOf, stored: limits.stored })
  }

  #onClosed (connection: Connection): void {
    this.hub.remove(connection)
    this.#subscribing.closed(connection)
    this.parts.cluster?.nodes.leave(presenceKey(connection.userId), connection.id)
    this.#departures.closed(connection)
    this.#onGone()
  }

  #onReleased (connection: Connection): void {
    for (const presence of this.#presences) presence.closed(connection, connection.closed!.code === closeCodes.NORMAL.code)
  }

  /** Closes a user's connections on all servers. Returns the number of those on this server. */
  disconnectUser (userId: string, code: number): number {
    this.parts.cluster?.tell(disconnectSubject, { userId, code })
    return this.#disconnect(userId, code)
  }

  #disconnect (userId: string, code: number): number {
    const connections = this.hub.connections(userId).filter(({ isEnding }) => !isEnding)
    for (const connection of connections) connection.close(code)
    return connections.length
  }

  #onGone (): void {
    if (this.hub.size + this.#departures.size + this.pending.size + this.refused.size === 0) this.#onEmpty()
  }

  /**
   * Rejects new connections, writes pending frames and closes every connection with 1012 and its own reconnect delay. Connections
   * that are handling a message are closed when the handler has finished, or after 80 % of the time. Resolves when all connections,
   * handshakes and `onDisconnect` hooks have ended, or after `ms` milliseconds, when the remaining connections are terminated.
   */
  async drain (ms: number): Promise<void> {
    const { publisher, timers } = this.parts
    publisher.close()
    await new Promise<void>(resolve => {
      this.#onEmpty = resolve
      timers.after(ms, resolve)
      timers.after(ms * patientShare, () => {
        for (const connection of this.hub.connections()) connection.closeNow()
      })
      this.admission.drain()
      this.#onGone()
    })
    this.#terminate()
  }

  /** Work that a drain waits for. */
  awaited (): AwaitedWork[] {
    const connections = this.hub.connections()
    const handlers = connections.flatMap(({ id, handling }) => handling.map(type => ({ type, connectionId: id })))
    const open = connections.length + this.refused.size
    const nameOf = ({ type, connectionId }: typeof handlers[number]) => `'${type}' of connection ${connectionId}`
    return [
      { field: 'handlers', items: handlers, text: 'the handler', nameOf, isOfApp: true },
      { field: 'onDisconnect', items: this.#departures.running, text: 'onDisconnect of connection', isOfApp: true },
      { field: 'handshakes', items: this.pending.size, text: `authenticate or authorize of ${counted(this.pending.size, 'handshake')}`, isOfApp: true },
      { field: 'connections', items: open, text: `${counted(open, 'connection')} to close`, isOfApp: false }
    ]
  }

  #terminate (): void {
    for (const connection of this.hub.connections()) connection.terminate()
    this.refused.terminate()
    this.pending.destroy()
  }

  /** Terminates the remaining connections, and stops everything but the broker. */
  stop (): void {
    const { flusher, refusals, timers, cluster } = this.parts
    this.#terminate()
    flusher.close()
    this.#liveness.close()
    refusals.close()
    this.#clock.close()
    timers.close()
    cluster?.close()
  }

  async close (): Promise<void> {
    this.stop()
    await this.parts.options.broker.close()
  }
}

/** Handlers of the app, by message type. Throws RT_ERR_OPTIONS if the schema of an answer cannot be used. */
function appRows ({ onMessage, answers, limits }: ServerOptions): Map<string, MessageRow> {
  const rows = new Map<string, MessageRow>()
  for (const [type, handler] of Object.entries(onMessage)) {
    const schema = Object.hasOwn(answers, type) ? answers[type] : undefined
    rows.set(type, rowOf(handler!, schema && answerFrom({ schema, option: 'answers', type }, limits.message)))
  }
  return rows
}

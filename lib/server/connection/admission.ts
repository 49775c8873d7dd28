import { randomInt } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import type { WebSocket } from 'ws'
import { Log } from '../../logs/log.js'
import { closeCodes, formatDelay } from '../../protocol/close-codes.js'
import type { Limits } from '../../protocol/envelope.js'
import { expiresIn } from '../access/identity.js'
import type { PeerStream } from '../handshake/pending.js'
import type { RefusedSockets } from '../handshake/refused-sockets.js'
import { addressOf, proxiedAddressOf } from '../handshake/refused-request.js'
import type { Identity, OnConnect } from '../hooks.js'
import type { ChannelPath } from '../kinds.js'
import type { ServerParts } from '../parts.js'
import { report } from '../reports/caught.js'
import { redacted, secretsOf } from '../reports/redacted.js'
import type { Target } from '../target.js'
import { Connection, type ConnectionContext } from './connection.js'
import type { Departures } from './departures.js'
import { presenceKey, type Hub } from './hub.js'
import { Recovery, sinceOf, type Recovered } from '../delivery/recovery.js'
import type { OpenChannel } from '../delivery/subscription.js'
import { chain, isPromise, type Awaitable } from '../../time/awaitable.js'
import { within } from '../../time/within.js'

/** A completed handshake. */
export interface Arrival {
  socket: WebSocket
  /** Stream below the WebSocket. */
  stream: PeerStream
  request: FastifyRequest
  identity: Identity
  /** Whether it is not listed in the presence of its channels. */
  isHidden: boolean
  path: ChannelPath
  target: Target
}

export interface AdmissionParts extends Omit<ServerParts, 'catalogue' | 'publisher' | 'flusher'> {
  context: ConnectionContext
  hub: Hub<Connection>
  refused: RefusedSockets
  departures: Departures
  /** Called once for each connection, when it has ended. */
  onClosed: (connection: Connection) => void
}

/** Turns WebSockets into connections and opens them: counts, subscribes, calls `onConnect`, acknowledges. */
export class Admission {
  readonly #parts: AdmissionParts
  /** Fields of `connection_ack` that are the same for all connections, as JSON without braces. */
  readonly #commonFields: string
  /** Makes the connection ids of this process differ from those of another. */
  readonly #prefix = randomInt(36 ** 5).toString(36)
  #accepted = 0
  #isDraining = false

  constructor (parts: AdmissionParts) {
    const { heartbeat, limits: { frame, nodes, rate, burst, channels } } = parts.options
    const limits: Limits = { frame, nodes, rate, burst, channels }
    this.#parts = parts
    this.#commonFields = JSON.stringify({ heartbeat_ms: heartbeat.interval, limits }).slice(1, -1)
  }

  /** Closes all connections, and every later one, each with a random reconnect delay. */
  drain (): void {
    this.#isDraining = true
    for (const connection of this.#parts.hub.connections()) this.#sendAway(connection)
  }

  #sendAway (connection: Connection): void {
    connection.closeGently(closeCodes.RESTART, formatDelay(Math.random() * this.#parts.options.timeouts.spread))
  }

  /** Accepts a WebSocket as a connection, or refuses it. */
  accept (arrival: Arrival): void {
    const { hub, options: { limits }, refusals, refused, context, onClosed } = this.#parts
    const { socket, stream, request, identity, path, target } = arrival
    if (!hub.hasRoom(identity.userId, limits.connectionsPerUser)) {
      refusals.add('user_connections', { userId: identity.userId, remoteAddress: addressOf(request) })
      return refused.add(socket, closeCodes.TOO_MANY)
    }
    const id = `${this.#prefix}-${(++this.#accepted).toString(36)}`
    const proxiedAddress = proxiedAddressOf(request)
    const isDeflated = takesDeflated(arrival)
    const connection = new Connection(socket, stream, context, { id, identity, path, target, proxiedAddress, isDeflated, onClosed })
    hub.add(connection)
    connection.charge(0)
    if (this.#isDraining) {
      refusals.add('closing', connection.client)
      return this.#sendAway(connection)
    }
    // Never rejects.
    this.#welcome(connection, arrival)
  }

  /** Subscribes before onConnect runs, so that no publication from then on is missed. Never rejects. */
  async #welcome (connection: Connection, { request, path, isHidden }: Arrival): Promise<void> {
    const { options: { onConnect, timeouts }, cluster, timers, departures } = this.#parts
    try {
      // The client may be gone after a wait.
      if (cluster !== undefined || connection.isUserHeld || onConnect !== undefined) connection.noteAddress()
      if (cluster !== undefined && !await this.#enter(connection)) return connection.turnAway('user_connections')
      // A user who reconnects too often is delayed.
      if (connection.isUserHeld) await connection.whenFree()
      if (connection.state !== 'opening') return
      const subscribed = this.#subscribe(connection, path)
      const logs = isPromise(subscribed) ? await subscribed : subscribed
      if (connection.state !== 'opening') return
      const recovery = new Recovery(connection, logs, sinceOf((request.query as { since?: unknown }).since, path.kinds[0]))
      connection.subscribed(recovery.subscriptions)
      if (onConnect === undefined) departures.greeted(connection)
      else await within(timeouts.connect, this.#greet(onConnect, connection, request), timers)
      if (connection.state === 'opening') this.#open(connection, recovery, isHidden)
    } catch (thrown) {
      this.#fail(connection, request, thrown)
    }
  }

  /** Closes a connection that could not be opened. */
  #fail (connection: Connection, request: FastifyRequest, thrown: unknown): void {
    const error = () => redacted(thrown, secretsOf(request))
    if (!connection.isEnding) return connection.turnAway('not_opened', error)
    report(this.#parts.log, error(), 'onConnect or the broker failed after the connection had ended', { connectionId: connection.id })
  }

  /** Whether the user may have another connection, counted on all servers. */
  async #enter ({ userId, id }: Connection): Promise<boolean> {
    const { cluster, options: { limits } } = this.#parts
    return cluster!.nodes.enter(presenceKey(userId), id, limits.connectionsPerUser)
  }

  /** Opens the logs of a path: at once with a broker that returns them, such as that in memory. */
  #subscribe ({ target }: Connection, path: ChannelPath): Awaitable<OpenChannel[]> {
    const { options: { broker, timeouts }, timers } = this.#parts
    const channels = path.channelsOf(target)
    const found = channels.map((channel, at) => broker.subscribe(channel, path.kinds[at].retention))
    const isThere = found.every(log => log instanceof Log)
    return chain(isThere ? found : within(timeouts.connect, Promise.all(found), timers),
      logs => logs.map((log, at) => ({ kind: path.kinds[at], channel: channels[at], log })))
  }

  /** If onConnect succeeds, even after its timeout, onDisconnect will be called. */
  async #greet (onConnect: OnConnect, connection: Connection, request: FastifyRequest): Promise<void> {
    await onConnect(connection, request)
    this.#parts.departures.greeted(connection)
  }

  #open (connection: Connection, recovery: Recovery, isHidden: boolean): void {
    const concluded = recovery.conclude()
    if (concluded.bytes > 0) connection.charge(concluded.bytes)
    connection.open(this.#ackOf(connection, concluded))
    if (!connection.isEnding) enterPath(connection, isHidden)
  }

  /** Data of `connection_ack` as JSON. Ids and positions contain no characters that JSON escapes. */
  #ackOf ({ userId, id, identity }: Connection, { position, recovered, replayed }: Recovered): string {
    const expiresInMs = expiresIn(identity)
    const recovery = recovered === undefined ? '' : `"recovered":${recovered},`
    const expiry = expiresInMs === undefined ? '' : `"expires_in_ms":${expiresInMs},`
    const own = `"user_id":"${userId}","connection_id":"${id}","position":"${position}",${recovery}"replayed":${replayed},${expiry}`
    return `{${own}${this.#commonFields}}`
  }
}

/** Enters the presence of the channels of a connection's path. `isHidden`: whether it is not listed there. */
export function enterPath (connection: Connection, isHidden: boolean): void {
  for (const { kind, channel } of connection.subscriptions) {
    if (kind.presence !== undefined && connection.isOfPath(channel)) kind.presence.enter(connection, channel, isHidden)
  }
}

/** Whether a client takes shared compressed frames. One that requests a smaller window cannot read them, and gets plain ones. */
function takesDeflated ({ socket, request }: Arrival): boolean {
  return socket.extensions !== '' && request.headers['sec-websocket-extensions']?.includes('server_max_window_bits') === false
}

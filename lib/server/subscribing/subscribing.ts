import type { Broker } from '../../brokers/broker.js'
import type { Log, Reader } from '../../logs/log.js'
import { splitChannel, type UnsubscribedReason } from '../../protocol/channels.js'
import type { Connection } from '../connection/connection.js'
import { Recovery, sinceOf } from '../delivery/recovery.js'
import type { Subscription } from '../delivery/subscription.js'
import type { ChannelKind, Kinds } from '../kinds.js'
import { Tally } from '../tally.js'
import { within } from '../../time/within.js'
import type { Timers } from '../../time/timers.js'
import { Decisions, isAdmitting, type DecisionParts } from './decisions.js'
import { FairQueue } from './fair-queue.js'
import { JointDecisions } from './joint-decisions.js'
import { UserChannels, type UserChannelsParts } from './user-channels.js'

export interface SubscribingParts extends DecisionParts, UserChannelsParts {
  readonly broker: Broker
  readonly kinds: Kinds
  readonly timers: Timers
  /** Maximum number of channels of a connection, beside those of its path. */
  readonly mostOfConnection: number
  /** Maximum time to get the log of a channel, in ms. */
  readonly logTimeout: number
}

/** Maximum number of subscriptions of this server that are undecided at once: their logs are read, or the app is asked. */
const mostUndecided = 400

/** What an `unsubscribe` from a channel counts as, in bytes that the user requests. */
const unsubscribeCost = 1_024

/** Subscribes connections to channels, beside those of their paths, and ends these subscriptions. */
export class Subscribing {
  readonly #parts: SubscribingParts
  readonly #joint: JointDecisions
  readonly #users: UserChannels
  readonly #undecided = new FairQueue(mostUndecided)
  /** Number of channels beside those of the path that a connection has or asks for. */
  readonly #counts = new Tally<Connection>()

  constructor (parts: SubscribingParts) {
    this.#parts = parts
    this.#joint = new JointDecisions(new Decisions(parts))
    this.#users = new UserChannels(parts)
  }

  /**
   * Calls `subscribe` when the user of a connection may subscribe to another channel, and few enough subscriptions are undecided. One that
   * waits here takes 1 KiB, an undecided one 4 KiB: when all clients reconnect, most of the garbage collector's work depends on it.
   */
  whenDue (connection: Connection, subscribe: () => Promise<void>): void {
    // Neither rejects.
    this.#users.turn(connection).then(() => this.#undecided.run(connection.userId, subscribe))
  }

  /** Handles a `subscribe` to one channel: sends `subscribed` or `unsubscribed`. Never rejects. */
  async subscribe (connection: Connection, channel: string, since: string | undefined): Promise<void> {
    if (connection.isEnding) return
    const current = connection.find(channel)
    if (current !== undefined) return this.#move(connection, current, since)
    const reason = await this.#subscribe(connection, channel, since)
    if (reason !== undefined) connection.control('unsubscribed', { channel, data: { reason } })
  }

  /** Handles an `unsubscribe` from one channel. */
  unsubscribe (connection: Connection, channel: string): void {
    connection.charge(unsubscribeCost)
    this.end(connection, channel, 'asked')
  }

  /** Ends a subscription, if there is one, and tells the client why. */
  end (connection: Connection, channel: string, reason: UnsubscribedReason): void {
    const subscription = connection.find(channel)
    if (subscription !== undefined) {
      connection.unsubscribe(subscription)
      subscription.kind.presence?.leave(connection, channel, !isTemporary(reason))
      if (!connection.isOfPath(channel)) this.#release(connection)
    }
    connection.control('unsubscribed', { channel, data: { reason } })
  }

  /** Asks again about the channels of a connection, beside those of its path, because its identity has changed. Never rejects. */
  async review (connection: Connection): Promise<void> {
    const { identity } = connection
    const ofFrames = connection.subscriptions.filter(({ channel }) => !connection.isOfPath(channel))
    const questions = ofFrames.map(({ kind, channel }) => this.#joint.announce(kind, connection, channel))
    await Promise.all(ofFrames.map(async ({ kind, channel }, at) => {
      const decision = await questions[at].ask()
      // A later renewal asks as well.
      if (connection.identity !== identity) return
      if (connection.find(channel) === undefined) return
      if (isAdmitting(decision)) kind.presence?.enter(connection, channel, decision === 'hidden')
      else this.end(connection, channel, decision)
    }))
  }

  /** Call when a connection is closed. */
  closed (connection: Connection): void {
    const count = this.#counts.remove(connection)
    if (count > 0) this.#users.release(connection.userId, count)
  }

  /** Subscribes a connection. Returns the reason if it may not. */
  async #subscribe (connection: Connection, channel: string, since: string | undefined): Promise<UnsubscribedReason | undefined> {
    const kind = this.#parts.kinds.find(channel)
    if (kind === undefined) return 'unknown_channel'
    const isOfPath = connection.isOfPath(channel)
    if (isOfPath) return this.#open(connection, kind, channel, since, true)
    const { id } = splitChannel(channel)
    if (kind.access === undefined) return 'forbidden'
    if (id === undefined || !kind.access.isValid(id)) return 'invalid_channel'
    if (!this.#take(connection)) return 'too_many_channels'
    const reason = await this.#open(connection, kind, channel, since, false)
    if (reason !== undefined) this.#release(connection)
    return reason
  }

  async #open (
    connection: Connection, kind: ChannelKind, channel: string, since: string | undefined, isAllowed: boolean
  ): Promise<UnsubscribedReason | undefined> {
    const question = isAllowed ? undefined : this.#joint.announce(kind, connection, channel)
    let log: Log
    try {
      log = await this.#logOf(kind, channel)
    } catch {
      // The broker has logged why.
      question?.cancel()
      return 'unavailable'
    }
    const watch = new Watch(connection.userId, log)
    const { identity } = connection
    const decision = await question?.ask()
    watch.end()
    if (connection.isEnding) return undefined
    if (watch.objection !== undefined) return watch.objection
    // The identity was renewed meanwhile, so the decision is about another one.
    if (connection.identity !== identity && !isAllowed) return this.#open(connection, kind, channel, since, false)
    if (decision !== undefined && !isAdmitting(decision)) return decision
    const isHidden = decision && decision === 'hidden'
    // Another `subscribe` was decided meanwhile, after a handler of the channel took too long.
    const current = connection.find(channel)
    if (current !== undefined) this.#move(connection, current, since, isHidden)
    else this.#begin(connection, new Recovery(connection, [{ kind, channel, log }], sinceOf(since, kind)), isHidden)
    return undefined
  }

  #begin (connection: Connection, recovery: Recovery, isHidden?: boolean): void {
    const [subscription] = recovery.subscriptions
    const { bytes, ...data } = recovery.conclude()
    if (bytes > 0) connection.charge(bytes)
    // Before `control`, which can end the connection and its subscriptions. The frame of `control` is written before any publication.
    connection.subscribe(subscription)
    this.#confirm(connection, subscription, data, isHidden)
  }

  #confirm (connection: Connection, { kind, channel }: Subscription, data: object, isHidden: boolean | undefined): void {
    connection.control('subscribed', { channel, data })
    if (!connection.isEnding) kind.presence?.enter(connection, channel, isHidden)
  }

  async #logOf (kind: ChannelKind, channel: string): Promise<Log> {
    const { broker, logTimeout, timers } = this.#parts
    const found = broker.subscribe(channel, kind.retention)
    return 'then' in found ? within(logTimeout, found, timers) : found
  }

  /**
   * Handles a `subscribe` to a channel that the connection reads already. It reads on, or begins after a `since` that is later, so no
   * publication is sent twice. It begins again at a `since` from before the subscription.
   */
  #move (connection: Connection, current: Subscription, since: string | undefined, isHidden?: boolean): void {
    const { kind, channel, log, start, offset, epoch } = current
    if (since === undefined) {
      return this.#confirm(connection, current, { position: current.position, replayed: current.behind }, isHidden)
    }
    const wanted = sinceOf(since, kind)
    const recovery = new Recovery(connection, [{ kind, channel, log }], wanted)
    const [moved] = recovery.subscriptions
    const isRead = epoch === moved.epoch && moved.offset >= start && moved.offset <= offset
    if (!isRead || !recovery.isRecovered) {
      connection.unsubscribe(current)
      return this.#begin(connection, recovery, isHidden)
    }
    moved.end()
    this.#confirm(connection, current, { position: current.position, recovered: true, replayed: current.behind }, isHidden)
  }

  #take (connection: Connection): boolean {
    if (this.#counts.of(connection) >= this.#parts.mostOfConnection || !this.#users.take(connection.userId)) return false
    this.#counts.add(connection)
    return true
  }

  #release (connection: Connection): void {
    // The connection has ended, and everything is released.
    if (this.#counts.of(connection) === 0) return
    this.#users.release(connection.userId)
    this.#counts.take(connection)
  }
}

/** Whether the client is expected to subscribe again after the end of its subscription. */
function isTemporary (reason: UnsubscribedReason): boolean {
  return reason === 'unavailable' || reason === 'failed'
}

/** Notices that the app removes a user from a channel while the app decides about the user's subscription. */
class Watch implements Reader {
  offset: number
  epoch: string
  seat = -1
  joined = 0
  /** Why the decision no longer holds. */
  objection: 'removed' | 'unavailable' | undefined
  readonly #userId: string
  readonly #log: Log

  constructor (userId: string, log: Log) {
    this.#userId = userId
    this.#log = log
    this.offset = log.head
    this.epoch = log.epoch
    log.add(this)
  }

  wake (): void {}
  catchUp (): void {}

  onRemoved (userId: string): void {
    if (userId === this.#userId) this.objection = 'removed'
  }

  onDoubt (): void {
    this.objection ??= 'unavailable'
  }

  end (): void {
    this.#log.remove(this)
  }
}

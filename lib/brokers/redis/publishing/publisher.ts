import { randomBytes } from 'node:crypto'
import { errors } from '../../../errors.js'
import type { Position } from '../../../protocol/position.js'
import { append, appendScript, type AppendReply } from '../commands/append.js'
import { newEpoch } from '../epoch.js'
import type { Keys } from '../keys.js'
import { isReachable, serverOf } from '../link/connection.js'
import type { Health } from '../link/health.js'
import type { RedisLink } from '../link/link.js'
import type { StreamLimits } from '../retention.js'
import { byChannel, type Batch, type PendingPublication } from './batch.js'
import type { RedisClock } from '../clock.js'
import { Doubts } from './doubts.js'
import { Preparation } from './preparation.js'
import { PublishQueue } from './queue.js'
import type { Quota } from './quota.js'
import { Schedule } from './schedule.js'
import { slotOf } from '../link/slot.js'
import { Traffic } from './traffic.js'

/** Maximum number of publications that wait for one server. */
const maxWaiting = 1_000
/** Maximum bytes that wait or are under way. A publication counts with `overhead`, the bytes sent beside its body. */
const maxBytes = 8 * 1024 * 1024
const overhead = 200
/**
 * Maximum number and bytes of publications that wait or are under way while Redis is slow or unreachable: with its promises, a publication
 * takes about 3 KB of memory, and up to three times its bytes. While Redis answers fast, more may come in one turn.
 */
const maxWhileSlow = { count: 3_000, bytes: 4 * 1024 * 1024 }

/** Maximum time from `publish` until a publication is sent, in ms. */
const sentWithin = 1_100
/** Maximum time from `publish` until Redis stores a publication, in ms. */
const storedWithin = 1_500
/** Time from `publish` after which the next check settles the promise, in ms: within 2 s even if the event loop is busy. */
const settledWithin = 1_700

/** Silence, in round trips and within bounds in ms, after which a server gets no more batches: unsent publications are not stored. */
const stalledAfter = { roundTrips: 4, least: 400, most: 1_500 }
/** Silence, in round trips and within bounds in ms, after which a server is slow. */
const slowAfter = { roundTrips: 2, least: 50, most: 1_000 }

/** Interval between checks of waiting and sent publications, in ms. */
const lookEvery = 50

/**
 * Publishes in batches, and settles each publication with its true outcome: stored; not stored (RT_ERR_BROKER), which Redis guarantees by
 * refusing publications after their deadline; or unknown (RT_ERR_UNCONFIRMED), if the connection was lost at the wrong moment and Redis
 * could not be asked in time.
 */
export class BatchPublisher {
  /** Quota of stored bytes per user; `undefined`: no limit. */
  quota: Quota | undefined
  readonly #link: RedisLink
  readonly #keys: Keys
  readonly #preparation: Preparation
  readonly #queue = new PublishQueue()
  readonly #traffic = new Traffic()
  readonly #doubts: Doubts
  readonly #schedule = new Schedule(() => this.#flush())
  readonly #ids = new PublicationIds()
  #looker: NodeJS.Timeout | undefined
  #isClosed = false
  #onIdle = () => {}

  /** `prepare` is called each time Redis is connected, and nothing is sent until it has finished. */
  constructor (link: RedisLink, keys: Keys, prepare: () => Promise<unknown> = async () => {}) {
    this.#link = link
    this.#keys = keys
    this.#preparation = new Preparation(link, prepare, () => this.#flush())
    this.#doubts = new Doubts({
      link,
      keys,
      clock: this.clock,
      traffic: this.#traffic,
      storedWithin,
      onFound: (publication, position) => this.#settle(publication, position),
      onMissing: publication => this.#fail([publication], new errors.BROKER('the connection to Redis was lost'))
    })
  }

  /** Redis's clock. */
  get clock (): RedisClock {
    return this.#preparation.clock
  }

  /** Resolves when publications can be sent, or after `ms` milliseconds. */
  ready (ms: number): Promise<void> {
    return this.#preparation.ready(ms)
  }

  /**
   * Stores a publication. `isDefault`: limits that Redis already has for the channel take precedence over `limits`. Rejects within 2 s with
   * RT_ERR_CLOSING, RT_ERR_OVER_QUOTA, RT_ERR_BROKER or RT_ERR_UNCONFIRMED.
   */
  publish (channel: string, body: string, limits: StreamLimits, isDefault = false): Promise<Position> {
    return new Promise((resolve, reject) => {
      const bytes = Buffer.byteLength(body) + overhead
      const slot = this.#link.isCluster ? slotOf(this.#keys.stream(channel)) : 0
      // In a Cluster, servers fail separately: publications for one server do not wait for another.
      const server = () => serverOf(this.#link.client, slot)
      const at = performance.now()
      const publication = { channel, body, limits, isDefault, ...this.#ids.next(), server, bytes, at, resolve, reject, isSettled: false }
      const refusal = this.#refusal(publication) ?? this.quota?.refusal(channel, bytes - overhead, limits)
      if (refusal !== undefined) return reject(refusal)
      this.#queue.add(publication)
      this.#looker ??= setInterval(() => this.#look(), lookEvery)
      if (this.#queue.isFull) return this.#flush()
      if (this.#traffic.oldest(server()) === undefined) this.#schedule.afterTurn()
      else this.#schedule.onceGathered()
    })
  }

  #refusal (publication: PendingPublication): Error | undefined {
    if (this.#isClosed) return new errors.CLOSING()
    const { bytes, count, waiting } = this.#queue
    const server = publication.server()
    const isOver = (limit: number) => bytes > 0 && bytes + publication.bytes > limit
    const isMuch = count >= maxWhileSlow.count || isOver(maxWhileSlow.bytes)
    const isSlow = () => !this.#canSend(server) || this.#traffic.isUnanswered(server, slowAfter)
    const isCrowded = waiting >= maxWaiting && this.#queue.countFor(server) >= maxWaiting
    return isCrowded || isOver(maxBytes) || (isMuch && isSlow()) ? this.#link.health.crowded() : undefined
  }

  /** Whether a batch can be sent to a server now. */
  #canSend (server: string | undefined): boolean {
    if (!this.#preparation.isDone || this.#traffic.isHeldUp(server) || !isReachable(this.#link.client, server)) return false
    return !this.#traffic.isUnanswered(server, stalledAfter)
  }

  #flush (): void {
    this.#schedule.cancel()
    for (const server of this.#queue.servers) this.#flushTo(server)
  }

  #flushTo (server: string | undefined): void {
    while (this.#canSend(server)) {
      const publications = this.#queue.take(server)
      if (publications.length === 0) return
      this.#send(server, publications)
    }
  }

  async #send (server: string | undefined, publications: PendingPublication[]): Promise<void> {
    const now = performance.now()
    this.#schedule.sent(now)
    const batch = {
      server,
      publications,
      channels: byChannel(publications),
      sentAt: now,
      deadline: this.clock.at(publications[0].at + storedWithin)!
    }
    this.#traffic.sent(batch)
    const channels = [...batch.channels]
    // In a Cluster, all keys of a script must be in one slot.
    const parts = this.#link.isCluster ? channels.map(channel => [channel]) : [channels]
    await Promise.all(parts.map(part => this.#store(batch, part)))
    this.#traffic.answered(batch)
    this.#doubts.add(batch)
    this.#flush()
    this.#rest()
  }

  /** Settles the publications that Redis answers, and leaves the others as they are. */
  async #store (batch: Batch, channels: Array<[string, PendingPublication[]]>): Promise<void> {
    const sent = performance.now()
    let isSent = false
    setImmediate(() => { isSent = true })
    try {
      const reply = await this.#append(batch, channels)
      const received = performance.now()
      this.#traffic.learn(received - sent)
      // Refused, although it arrived in time by the known time of Redis: its clock was set forward since.
      const isEarly = reply.results === undefined && received - sent < storedWithin - sentWithin
      if (isEarly) this.clock.forget()
      this.clock.learn(reply.now, sent, received)
      if (isEarly) this.#takeBack(batch, channels)
      else this.#conclude(channels, reply)
    } catch (error) {
      // A command that fails before the event loop has turned was not written to any socket.
      if (!isSent) this.#takeBack(batch, channels)
      else if (isAnswer(error)) this.#fail(channels.flatMap(([, own]) => own), this.#link.health.refusal(appendScript.name, error))
    }
  }

  #append ({ deadline }: Batch, channels: Array<[string, PendingPublication[]]>): Promise<AppendReply> {
    const { publishCommand } = this.#link
    const parts = channels.map(([channel, publications]) => {
      const stream = this.#keys.stream(channel)
      const [{ limits, isDefault }] = publications
      return { stream, meta: this.#keys.meta(stream), limits, isDefault, publications }
    })
    return append(this.#link, { deadline, epoch: newEpoch(), publishCommand, channels: parts })
  }

  #takeBack (batch: Batch, channels: Array<[string, PendingPublication[]]>): void {
    for (const [channel] of channels) batch.channels.delete(channel)
    batch.publications = [...batch.channels.values()].flat()
    this.#queue.takeBack(channels.flatMap(([, publications]) => publications))
    this.#traffic.holdUp(batch.server)
  }

  #conclude (channels: Array<[string, PendingPublication[]]>, { results, unannounced }: AppendReply): void {
    for (const [at, [, publications]] of channels.entries()) {
      const result = results?.[at]
      if (result === undefined) this.#fail(publications, new errors.BROKER('Redis was too slow and refused the publication'))
      else if ('error' in result) this.#refused(publications, new Error(result.error))
      else this.#stored(publications, result.epoch, result.head)
    }
    if (results !== undefined) this.#announced(unannounced)
  }

  #stored (publications: PendingPublication[], epoch: string, head: number): void {
    if (head === publications.length) this.quota?.onBegun(publications[0].channel, publications[0].limits)
    for (const [at, publication] of publications.entries()) {
      this.#settle(publication, { epoch, offset: head - publications.length + 1 + at })
    }
  }

  /** Redis refused to store publications of a channel. */
  #refused (publications: PendingPublication[], error: Error): void {
    const { health, isCluster } = this.#link
    health.failed(appendScript.name, error)
    // The server was demoted. A new connection finds the master.
    if (error.message.includes('READONLY') && !isCluster) this.#link.reconnect()
    this.#fail(publications, health.refusal(appendScript.name, error))
  }

  /** `error`: why stored publications were not announced; `undefined` if they were. */
  #announced (error: string | undefined): void {
    const { health, publishCommand } = this.#link
    if (error === undefined) health.well(publishCommand)
    else health.failed(publishCommand, new Error(error))
  }

  /** Rejects publications with one shared error: there can be thousands. */
  #fail (publications: PendingPublication[], error: Error): void {
    for (const publication of publications) {
      if (publication.isSettled) continue
      const { channel, bytes, limits } = publication
      if (!(error instanceof errors.UNCONFIRMED)) this.quota?.giveBack(channel, bytes - overhead, limits)
      this.#settle(publication, error)
    }
  }

  /** Gives up late publications, and asks Redis about batches in doubt. */
  #look (): void {
    const now = performance.now()
    this.#traffic.look(now)
    const late = this.#queue.takeBefore(now - sentWithin)
    // They were never sent.
    if (late.length > 0) this.#giveUp(late, health => health.refusal())
    for (const batch of [...this.#traffic.batches, ...this.#doubts.batches]) this.#giveUpLate(batch, now)
    this.#doubts.ask(now)
    if (this.clock.at(now) === undefined && this.#link.isReady) this.#preparation.askTime()
    this.#traffic.retry()
    this.#flush()
    this.#rest()
  }

  #giveUp (publications: PendingPublication[], errorOf: (health: Health) => Error): void {
    const { health } = this.#link
    health.silent()
    this.#fail(publications, errorOf(health))
  }

  /** Stops the checks when no publication is left. */
  #rest (): void {
    if (this.#queue.waiting + this.#traffic.size + this.#doubts.size > 0) return
    clearInterval(this.#looker)
    this.#looker = undefined
    this.#onIdle()
  }

  #giveUpLate (batch: Batch, now: number): void {
    const late = batch.publications.filter(({ at, isSettled }) => !isSettled && now - at >= settledWithin)
    // They were sent, so they may be stored.
    if (late.length > 0) this.#giveUp(late, health => health.doubt())
    this.#doubts.drop(batch)
  }

  /** Settles a publication once: the first outcome counts. */
  #settle (publication: PendingPublication, outcome: Position | Error): void {
    if (publication.isSettled) return
    publication.isSettled = true
    this.#queue.settled(publication)
    if (outcome instanceof Error) publication.reject(outcome)
    else publication.resolve(outcome)
  }

  /** Rejects waiting publications, and resolves when all others are settled. */
  async close (): Promise<void> {
    this.#isClosed = true
    this.#preparation.close()
    for (const publication of this.#queue.takeBefore(Infinity)) this.#settle(publication, new errors.CLOSING())
    this.#schedule.cancel()
    if (this.#looker !== undefined) await new Promise<void>(resolve => { this.#onIdle = resolve })
  }
}

/** Whether Redis answered with an error, so that nothing was done. Other errors say nothing about that. */
function isAnswer (error: unknown): boolean {
  return (error as Error).name === 'ReplyError'
}

/** Numbers publications, and gives each a mark that is unique among all processes. */
class PublicationIds {
  readonly #prefix = randomBytes(6).toString('base64url')
  #count = 0

  next (): { mark: string, number: number } {
    const number = this.#count++
    return { mark: this.#prefix + number.toString(36), number }
  }
}

import { randomBytes } from 'node:crypto'
import { errors } from '../../errors.js'
import type { Position } from '../../protocol/position.js'
import { byChannel, isOver, type Batch, type PendingPublication } from './batch.js'
import { RedisClock } from './clock.js'
import { isReachable, serverOf, within } from './connection.js'
import { newEpoch } from './epoch.js'
import type { Keys } from './keys.js'
import type { RedisLink } from './link.js'
import type { Quota } from './quota.js'
import { metaTtlOf, type RetentionOf } from './retention.js'
import { append, find } from './scripts.js'
import { slotOf } from './slot.js'

/** How much may wait for Redis. One more is refused. */
const maxWaiting = 1_000
/** Bytes that wait or are under way; a publication counts with what Redis is sent beside its body. */
const maxBytes = 8 * 1024 * 1024
const overhead = 200
/**
 * While Redis is slow or away, no more than this may wait and be under way: with its promises a publication takes some 3 KB of
 * memory, and up to three times its bytes. Until then, more may come in one turn.
 */
const maxWhileSlow = { count: 3_000, bytes: 4 * 1024 * 1024 }

/** A batch is sent when it has so many publications, or so many bytes. */
const fullCount = 256
const fullBytes = 256 * 1024

/** While a batch is under way the next one gathers, in milliseconds at most: a slow Redis makes it bigger, not later. */
const gathering = 100

/** From its `publish` on, in milliseconds: it is sent until here, */
const sentWithin = 1_100
/** Redis stores it until here, */
const storedWithin = 1_500
/** and then its promise is settled, with the next look: in time also where the event loop is busy. */
const settledWithin = 1_700

/**
 * A connection that leaves something unanswered for so many round trips gets nothing more to do, within these bounds in
 * milliseconds: what is not sent is known not to be stored.
 */
const stalledAfter = { roundTrips: 4, least: 400, most: 1_500 }
/** And one for so many is slow. */
const slowAfter = { roundTrips: 2, least: 50, most: 1_000 }

/** Until preparations are done, or are not waited for any more, in milliseconds. */
const preparedWithin = 500

/** How often what is waiting is looked at, in milliseconds. */
const lookEvery = 50

/**
 * Publishes in batches and settles each publication with the truth: stored; not stored (RT_ERR_BROKER), which Redis itself
 * guarantees by refusing what comes after the deadline; or, when the connection was lost at the wrong moment and is not
 * back in time to ask, not known (RT_ERR_UNCONFIRMED).
 */
export class Publisher {
  readonly #link: RedisLink
  readonly #keys: Keys
  readonly #retentionOf: RetentionOf
  readonly clock: RedisClock
  /** What a user may have stored; `undefined`: no limit. */
  quota: Quota | undefined
  #onClock = () => {}
  readonly #prepare: () => Promise<unknown>
  #preparing: Promise<unknown> | undefined
  readonly #mark = randomBytes(6).toString('base64url')
  #published = 0
  #waiting: PendingPublication[] = []
  /** Bytes of the publications that are not settled. */
  #bytes = 0
  /** Number of publications that are not settled. */
  #count = 0
  #waitingBytes = 0
  readonly #underWay = new Set<Batch>()
  /** Their connection was lost; whether they were stored is still to be asked. */
  readonly #inDoubt = new Set<Batch>()
  #turn: NodeJS.Immediate | undefined
  #gatherer: NodeJS.Timeout | undefined
  #looker: NodeJS.Timeout | undefined
  #lastSent = -Infinity
  /** Answers that had come until then were heard, on the monotonic clock: none is while the event loop does not turn. */
  #heardAt = -Infinity
  /** How long answers take at the moment, in milliseconds. */
  #roundTrip = 0
  /** Servers to which nothing could be written the last time: it is tried again with the next look. */
  readonly #heldUp = new Set<string | undefined>()
  #isClosed = false
  #onIdle = () => {}

  /** `prepare` is called when Redis is there again, and nothing is sent until it is done. */
  constructor (link: RedisLink, keys: Keys, retentionOf: RetentionOf, prepare: () => Promise<unknown> = async () => {}) {
    this.#prepare = prepare
    this.#link = link
    this.#keys = keys
    this.#retentionOf = retentionOf
    this.clock = new RedisClock(link.isCluster)
    link.client.on('ready', this.#onReady)
    if (link.isReady) this.#onReady()
  }

  readonly #onReady = (): void => {
    this.clock.forget()
    this.#askTime()
    const preparing = this.#preparing = this.#prepare()
    const done = () => {
      if (this.#preparing === preparing) this.#preparing = undefined
      this.#flush()
    }
    within(preparedWithin, preparing).then(done, done)
  }

  /** Without it there is no deadline, and nothing is sent. What waits asks again when there is no answer. */
  async #askTime (): Promise<void> {
    const sent = performance.now()
    try {
      const [seconds, micros] = await this.#link.ask('TIME', this.#link.client.time()) as unknown as [string, string]
      this.clock.learn(Number(seconds) * 1_000 + Number(micros) / 1_000, sent, performance.now())
      this.#onClock()
      this.#flush()
    } catch {
      // The health knows.
    }
  }

  /** Resolves once something can be sent, or after so many milliseconds. */
  ready (ms: number): Promise<void> {
    if (this.#isPrepared()) return Promise.resolve()
    return new Promise(resolve => {
      const asking = setInterval(() => { if (this.#link.isReady) this.#askTime() }, lookEvery)
      const late = setTimeout(() => this.#onClock(), ms)
      this.#onClock = () => {
        clearInterval(asking)
        clearTimeout(late)
        resolve()
      }
    })
  }

  /** Stores a publication. Rejects with RT_ERR_CLOSING, RT_ERR_OVER_QUOTA, RT_ERR_BROKER or RT_ERR_UNCONFIRMED, within 2 s. */
  publish (channel: string, body: string): Promise<Position> {
    return new Promise((resolve, reject) => {
      const bytes = Buffer.byteLength(body) + overhead
      const number = this.#published++
      const mark = this.#mark + number.toString(36)
      const slot = this.#link.isCluster ? slotOf(this.#keys.stream(channel)) : 0
      const publication = { channel, body, mark, number, slot, bytes, at: performance.now(), resolve, reject, isSettled: false }
      const refusal = this.#refusal(publication) ?? this.quota?.refusal(channel, bytes - overhead)
      if (refusal !== undefined) return reject(refusal)
      this.#waiting.push(publication)
      this.#waitingBytes += bytes
      this.#bytes += bytes
      this.#count++
      this.#looker ??= setInterval(() => this.#look(), lookEvery)
      if (this.#isFull()) return this.#flush()
      if (this.#oldestUnderWay(this.#serverOf(publication)) === undefined) this.#turn ??= setImmediate(() => this.#flush())
      else this.#gather()
    })
  }

  #refusal (publication: PendingPublication): Error | undefined {
    if (this.#isClosed) return new errors.CLOSING()
    const { bytes } = publication
    const server = this.#serverOf(publication)
    const isCrowded = () => this.#waiting.filter(waiting => this.#serverOf(waiting) === server).length >= maxWaiting
    const isOver = (limit: number) => this.#bytes > 0 && this.#bytes + bytes > limit
    const isMuch = this.#count >= maxWhileSlow.count || isOver(maxWhileSlow.bytes)
    const isSlow = () => !this.#canSend(server) || this.#isUnanswered(server, slowAfter)
    const isTooMuch = (this.#waiting.length >= maxWaiting && isCrowded()) || isOver(maxBytes) || (isMuch && isSlow())
    return isTooMuch ? this.#link.health.crowded() : undefined
  }

  #isFull (): boolean {
    return this.#waiting.length >= fullCount || this.#waitingBytes >= fullBytes
  }

  /** In a Cluster servers come and go one by one: what is for one does not wait for another. */
  #serverOf ({ slot }: PendingPublication): string | undefined {
    return serverOf(this.#link.client, slot)
  }

  #isPrepared (): boolean {
    return this.#preparing === undefined && this.#link.isReady && this.clock.at(0) !== undefined
  }

  /** Whether what is sent to a server now has a good chance. */
  #canSend (server: string | undefined): boolean {
    if (!this.#isPrepared() || this.#heldUp.has(server) || !isReachable(this.#link.client, server)) return false
    return !this.#isUnanswered(server, stalledAfter)
  }

  #oldestUnderWay (server: string | undefined): Batch | undefined {
    for (const batch of this.#underWay) if (batch.server === server) return batch
    return undefined
  }

  /** Whether what was sent to a server first is not answered for so long. */
  #isUnanswered (server: string | undefined, { roundTrips, least, most }: typeof stalledAfter): boolean {
    const oldest = this.#oldestUnderWay(server)
    return oldest !== undefined && this.#heardAt - oldest.sentAt > Math.min(most, Math.max(least, roundTrips * this.#roundTrip))
  }

  #gather (): void {
    const wait = this.#lastSent + gathering - performance.now()
    this.#gatherer ??= setTimeout(() => this.#flush(), Math.max(0, wait))
  }

  #flush (): void {
    clearImmediate(this.#turn)
    clearTimeout(this.#gatherer)
    this.#turn = undefined
    this.#gatherer = undefined
    for (const server of new Set(this.#waiting.map(publication => this.#serverOf(publication)))) this.#flushTo(server)
  }

  #flushTo (server: string | undefined): void {
    while (this.#canSend(server)) {
      const publications = this.#take(server)
      if (publications.length === 0) return
      this.#send(server, publications)
    }
  }

  #take (server: string | undefined): PendingPublication[] {
    const taken: PendingPublication[] = []
    const left: PendingPublication[] = []
    let bytes = 0
    for (const publication of this.#waiting) {
      const isTaken = taken.length < fullCount && bytes < fullBytes && this.#serverOf(publication) === server
      if (isTaken) bytes += publication.bytes
      if (isTaken) taken.push(publication)
      else left.push(publication)
    }
    this.#waiting = left
    this.#waitingBytes -= bytes
    return taken
  }

  async #send (server: string | undefined, publications: PendingPublication[]): Promise<void> {
    const now = performance.now()
    this.#lastSent = now
    const batch = {
      server,
      publications,
      channels: byChannel(publications),
      sentAt: now,
      deadline: this.clock.at(publications[0].at + storedWithin)!
    }
    this.#underWay.add(batch)
    const channels = [...batch.channels]
    // All keys of a script have to be in one slot of a Cluster.
    const parts = this.#link.isCluster ? channels.map(channel => [channel]) : [channels]
    const sent = parts.map(part => this.#store(batch, part))
    await Promise.all(sent)
    this.#underWay.delete(batch)
    if (!isOver(batch)) this.#inDoubt.add(batch)
    this.#flush()
    this.#rest()
  }

  /** Settles what Redis answers to; what it does not answer to is left as it is. */
  async #store (batch: Batch, channels: Array<[string, PendingPublication[]]>): Promise<void> {
    const keys: string[] = []
    const args: Array<string | number> = [batch.deadline, newEpoch(), this.#link.publishCommand]
    for (const [channel, publications] of channels) {
      const stream = this.#keys.stream(channel)
      keys.push(stream, this.#keys.meta(stream))
      const retention = this.#retentionOf(channel)
      args.push(retention.size, retention.ttl, retention.bytes, metaTtlOf(retention), publications.length)
      for (const { mark, body } of publications) args.push(mark, body)
    }
    const sent = performance.now()
    let isSent = false
    setImmediate(() => { isSent = true })
    try {
      const [now, ...results] = await this.#link.run(append, keys, args) as [number, ...Array<string | number>]
      const received = performance.now()
      this.#roundTrip = Math.max(received - sent, this.#roundTrip * 0.8)
      // It was refused, and came in time by what was known of Redis's clock: that was set forward since.
      const isEarly = results.length === 0 && received - sent < storedWithin - sentWithin
      if (isEarly) this.clock.forget()
      this.clock.learn(now, sent, received)
      if (isEarly) return this.#takeBack(batch, channels)
      for (const [at, [, publications]] of channels.entries()) {
        this.#conclude(publications, results[at * 2] as string, results[at * 2 + 1] as number)
      }
      this.#announced(results[channels.length * 2] as string | undefined)
    } catch (error) {
      // What is refused before the event loop has turned has not been written to any socket.
      if (!isSent) this.#takeBack(batch, channels)
      else if (isAnswer(error)) this.#fail(channels.flatMap(([, own]) => own), this.#link.health.refusal(append.name, error))
    }
  }

  /** They wait again, where they were among the others. */
  #takeBack (batch: Batch, channels: Array<[string, PendingPublication[]]>): void {
    const back = channels.flatMap(([, publications]) => publications)
    for (const [channel] of channels) batch.channels.delete(channel)
    batch.publications = [...batch.channels.values()].flat()
    for (const { bytes } of back) this.#waitingBytes += bytes
    this.#waiting = [...back, ...this.#waiting].sort((a, b) => a.number - b.number)
    this.#heldUp.add(batch.server)
  }

  #conclude (publications: PendingPublication[], epoch: string | undefined, head: number): void {
    if (epoch === undefined) return this.#fail(publications, new errors.BROKER('Redis was too slow, and refused it'))
    if (head === -1) return this.#refused(publications, new Error(epoch))
    if (head === publications.length) this.quota?.onBegun(publications[0].channel)
    for (const [at, publication] of publications.entries()) {
      this.#settle(publication, { epoch, offset: head - publications.length + 1 + at })
    }
  }

  /** Redis refuses to store publications of a channel. */
  #refused (publications: PendingPublication[], error: Error): void {
    const { health, isCluster } = this.#link
    health.failed(append.name, error)
    // A server that was demoted: whoever is asked for the master again knows another.
    if (error.message.includes('READONLY') && !isCluster) this.#link.reconnect()
    this.#fail(publications, health.refusal(append.name, error))
  }

  /** `error` is why publications that are stored were not announced; `undefined` when they were. */
  #announced (error: string | undefined): void {
    const { health, publishCommand } = this.#link
    if (error === undefined) health.well(publishCommand)
    else health.failed(publishCommand, new Error(error))
  }

  /** With one error for all of them: there can be thousands. */
  #fail (publications: PendingPublication[], error: Error): void {
    for (const publication of publications) {
      if (publication.isSettled) continue
      if (!(error instanceof errors.UNCONFIRMED)) this.quota?.giveBack(publication.channel, publication.bytes - overhead)
      this.#settle(publication, error)
    }
  }

  /** Gives up what has been under way for too long, and asks after what is in doubt. */
  #look (): void {
    const now = performance.now()
    setImmediate(() => { this.#heardAt = now })
    const late = this.#waiting.findIndex(({ at }) => now - at < sentWithin)
    const given = this.#waiting.splice(0, late === -1 ? this.#waiting.length : late)
    for (const { bytes } of given) this.#waitingBytes -= bytes
    if (given.length > 0) this.#giveUpWaiting(given)
    for (const batch of [...this.#underWay, ...this.#inDoubt]) this.#giveUp(batch, now)
    for (const batch of this.#inDoubt) this.#ask(batch, now)
    if (this.clock.at(now) === undefined && this.#link.isReady) this.#askTime()
    this.#heldUp.clear()
    this.#flush()
    this.#rest()
  }

  /** They were never sent. */
  #giveUpWaiting (publications: PendingPublication[]): void {
    this.#link.health.silent()
    this.#fail(publications, this.#link.health.refusal())
  }

  /** Nothing is left to look at. */
  #rest (): void {
    if (this.#waiting.length + this.#underWay.size + this.#inDoubt.size > 0) return
    clearInterval(this.#looker)
    this.#looker = undefined
    this.#onIdle()
  }

  #giveUp (batch: Batch, now: number): void {
    const late = batch.publications.filter(({ at, isSettled }) => !isSettled && now - at >= settledWithin)
    if (late.length > 0) this.#giveUpSent(late)
    if (isOver(batch)) this.#inDoubt.delete(batch)
  }

  /** They were sent, and may be stored. */
  #giveUpSent (publications: PendingPublication[]): void {
    this.#link.health.silent()
    this.#fail(publications, this.#link.health.doubt())
  }

  /** Once the deadline is over Redis can tell for good what it has of a batch. */
  #ask (batch: Batch, now: number): void {
    const canTell = (this.clock.at(now) ?? -Infinity) > batch.deadline
    if (!canTell || !this.#link.isReady) return
    this.#inDoubt.delete(batch)
    this.#underWay.add(batch)
    const asked = [...batch.channels].map(([channel, publications]) => this.#find(batch, channel, publications))
    Promise.all(asked).then(() => {
      this.#underWay.delete(batch)
      if (!isOver(batch)) this.#inDoubt.add(batch)
    })
  }

  async #find (batch: Batch, channel: string, publications: PendingPublication[]): Promise<void> {
    const stream = this.#keys.stream(channel)
    const keys = [stream, this.#keys.meta(stream)]
    const marks = publications.map(({ mark }) => mark)
    try {
      const found = await this.#link.run(find, keys, [batch.deadline - storedWithin, ...marks])
      const [now, epoch, ...offsets] = found as [number, string, ...number[]]
      for (const [at, publication] of publications.entries()) {
        const offset = offsets[at]
        if (offset > 0) this.#settle(publication, { epoch, offset })
        else if (offset === 0 && now > batch.deadline) this.#fail([publication], new errors.BROKER('the connection to Redis was lost'))
      }
    } catch {
      // The health knows. Asked again with the next look, until it is too late.
    }
  }

  /** Once: the first outcome counts. */
  #settle (publication: PendingPublication, outcome: Position | Error): void {
    if (publication.isSettled) return
    publication.isSettled = true
    this.#bytes -= publication.bytes
    this.#count--
    if (outcome instanceof Error) publication.reject(outcome)
    else publication.resolve(outcome)
  }

  /** Refuses what is waiting, and resolves once what is under way is settled. */
  async close (): Promise<void> {
    this.#isClosed = true
    this.#link.client.off('ready', this.#onReady)
    this.#onClock()
    for (const publication of this.#waiting.splice(0)) this.#settle(publication, new errors.CLOSING())
    clearImmediate(this.#turn)
    clearTimeout(this.#gatherer)
    if (this.#looker !== undefined) await new Promise<void>(resolve => { this.#onIdle = resolve })
  }
}

/** Redis answered that it has not done it. Whatever else goes wrong says nothing about that. */
function isAnswer (error: unknown): boolean {
  return (error as Error).name === 'ReplyError'
}

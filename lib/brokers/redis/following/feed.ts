import { never, type Log } from '../../../logs/log.js'
import type { StreamHead } from '../commands/read.js'
import type { Announcement } from './doorbell.js'
import { isUnborn, type Unborn } from './unborn.js'

/** Part of a log that a feed uses. */
export type Fed = Pick<Log, 'epoch' | 'head' | 'append' | 'begin' | 'precedes' | 'reset'>

/** A publication in Redis. */
export interface StoredPublication {
  readonly mark: string
  readonly body: string
  /** Time since it was stored, in ms. */
  readonly age: number
}

/** Publications after a position. `stored` ends with the head; if its beginning is missing, it has all that is retained. */
export interface ReadPublications {
  /** `undefined`: the channel has no publication yet. */
  readonly head: StreamHead | undefined
  /** The head is before the position, or another publication is there. Nothing was read. */
  readonly isTailLost: boolean
  /** The channel has another epoch now, and earlier publications are unknown. */
  readonly isForked: boolean
  readonly stored: StoredPublication[]
}

export interface FeedParts<L extends Fed> {
  createLog: (epoch: string) => L
  unborn: Pick<Unborn, 'epoch' | 'precedes'>
  /** TTL of the channel's meta, in ms. Default: longer than any position is valid. */
  metaTtl?: number
  /** Reads the publications after a position; all that are retained if it is unknown. */
  read: (after: StreamHead | undefined, inAnotherEpoch: boolean) => Promise<ReadPublications>
  /** Stores publications after the head that Redis has. Resolves with whether they are there now. */
  mend: (head: StreamHead, publications: Array<{ mark: string, body: string }>) => Promise<boolean>
}

/** One of the last publications. */
interface RecentPublication {
  readonly mark: string
  /** Kept until Redis is unlikely to lose it. */
  body: string | undefined
  readonly at: number
}

/** Maximum number of announcements that are kept while the stream is read. Later ones are read from the stream. */
const maxKept = 256

/** Minimum number of publications whose marks are remembered, to detect another one with the same offset. */
const maxRecent = 16
/** Maximum number and characters of publications whose bodies are kept, in case Redis loses them. */
const maxMendable = { count: 256, length: 1024 * 1024 }

/** Maximum attempts to mend a channel: nodes that mend it at the same time interfere. */
const maxMendings = 3

/** Time that announcements on their way get before the stream is read instead, in ms. */
const patience = 50

/**
 * Keeps a channel's log on this node up to date with the stream in Redis: each publication once, in order and without gaps. If the stream
 * no longer reaches back to the head of the log, or is another one, the log starts again.
 */
export class Feed<L extends Fed = Fed> {
  readonly #parts: FeedParts<L>
  log: L | undefined
  /** Resolves when there is a log. */
  readonly begun: Promise<void>
  #begin = () => {}
  /** The newest last. */
  #recent: RecentPublication[] = []
  /** Number of the newest publications that have a body, and their characters. */
  #mendable = { count: 0, length: 0 }
  /** Announcements during a read; `undefined` while nothing is read. */
  #kept: Announcement[] | undefined
  #reading: Promise<void> | undefined
  /** Epoch of channels without a publication at the last comparison with the log. */
  #unbornEpoch = ''
  /** Whether announcements were dropped, or another read was requested, during the read: it is then repeated. */
  #isBehind = false
  /** When the channel was last announced or compared, on the monotonic clock, in ms. */
  heardAt = performance.now()
  #isEnded = false

  constructor (parts: FeedParts<L>) {
    this.#parts = parts
    this.begun = new Promise(resolve => { this.#begin = resolve })
  }

  onAnnounced (announcements: Announcement[]): void {
    this.heardAt = performance.now()
    if (this.#kept !== undefined) return this.#keep(announcements)
    for (const announcement of announcements) this.#take(announcement)
  }

  /** Number of the last publications whose marks are known. */
  get known (): number {
    return this.#recent.length
  }

  /** Whether the log has no publication yet, and no epoch of its own. */
  get isUnborn (): boolean {
    return this.log !== undefined && isUnborn(this.log.epoch)
  }

  /** Whether the log ends exactly at a head in Redis. */
  has ({ epoch, offset, mark }: StreamHead): boolean {
    return this.log?.epoch === epoch && this.log.head === offset && this.#lastMark === mark
  }

  /** Whether the log is ahead of a head, because more was announced since Redis was asked. */
  #hasGoneOn ({ epoch, offset, mark }: StreamHead, before: number): boolean {
    return this.log?.epoch === epoch && offset >= before && offset < this.log.head && this.#markAt(offset) === mark
  }

  /**
   * Resolves when the log has everything up to `head`. `before`: head of the log when Redis was asked, which Redis should have. `head` is
   * `undefined` if Redis does not have the channel. Rejects if the stream cannot be read.
   */
  async reach (head: StreamHead | undefined, before: number): Promise<void> {
    this.heardAt = performance.now()
    if (head === undefined) return this.isUnborn ? undefined : this.catchUp()
    if (this.has(head)) return
    const isOnItsWay = this.log?.epoch === head.epoch && this.log.head < head.offset
    if (isOnItsWay) await new Promise<void>(resolve => { setTimeout(resolve, patience) })
    if (!this.has(head) && !this.#hasGoneOn(head, before)) await this.catchUp()
  }

  /** Reads from the stream what the log lacks. Rejects if that fails, and the log is unchanged then. */
  catchUp (): Promise<void> {
    if (this.#reading !== undefined) {
      this.#isBehind = true
      return this.#reading
    }
    this.#kept = []
    this.#reading = this.#readOn().finally(() => {
      this.#reading = undefined
      const kept = this.#kept ?? []
      this.#kept = undefined
      for (const announcement of kept) this.#take(announcement)
    })
    return this.#reading
  }

  async #readOn (): Promise<void> {
    do {
      this.#isBehind = false
      const { log } = this
      const after = log === undefined || this.isUnborn ? undefined : { epoch: log.epoch, offset: log.head, mark: this.#lastMark }
      let reading = await this.#parts.read(after, false)
      for (let attempt = 0; attempt < maxMendings && reading.isTailLost; attempt++) {
        const head = reading.head!
        const lost = this.#lostAfter(head)
        if (lost === undefined) break
        // Another node may be faster, and may have more or fewer of the publications.
        await this.#parts.mend(head, lost)
        reading = await this.#parts.read(after, false)
      }
      if (reading.isTailLost) reading = await this.#parts.read(after, true)
      if (this.#isEnded) return
      this.#apply(reading)
    } while (this.#isBehind)
  }

  /**
   * Returns the publications that Redis lost in a failover or restart; `undefined` if this node does not have all of them. After they are
   * stored in Redis again, no reader has missed any.
   */
  #lostAfter (head: StreamHead): Array<{ mark: string, body: string }> | undefined {
    const count = this.log!.head - head.offset
    const known = this.#markAt(head.offset)
    if (count < 1 || count > this.#mendable.count || (known !== undefined && known !== head.mark)) return undefined
    return this.#recent.slice(-count) as Array<{ mark: string, body: string }>
  }

  #apply ({ head, isForked, stored }: ReadPublications): void {
    if (head === undefined) this.#applyUnborn()
    else this.#applyBorn(head, isForked, stored)
    this.#begin()
  }

  /** Applies a reading without a publication. An existing log without publications keeps its readers' positions. */
  #applyUnborn (): void {
    const { unborn, metaTtl } = this.#parts
    if (this.log !== undefined) return this.renew()
    this.log = this.#parts.createLog(unborn.epoch)
    this.#precede(unborn.precedes(metaTtl))
  }

  #applyBorn ({ epoch, offset, mark: last }: StreamHead, isForked: boolean, stored: StoredPublication[]): void {
    const start = offset - stored.length
    const { unborn, metaTtl } = this.#parts
    const precedes = isForked ? never : unborn.precedes(metaTtl)
    const isNew = this.log === undefined
    this.log ??= this.#parts.createLog(epoch)
    const { log } = this
    if (this.isUnborn && start === 0 && precedes(log.epoch)) log.begin(epoch)
    const follows = log.epoch === epoch && log.head === start
    // A new log has no reader yet that would be lost.
    const now = performance.now()
    if (!follows) {
      log.reset(epoch, start)
      this.#recent = stored.length === 0 ? [{ mark: last, body: undefined, at: now }] : []
      this.#mendable = { count: 0, length: 0 }
    }
    // A log that continues has been followed since it was read, and knows more than this reading.
    if (isNew || !follows) this.#precede(precedes)
    for (const { mark, body, age } of stored) this.#append(mark, body, now - age)
  }

  #precede (precedes: Log['precedes']): void {
    this.log!.precedes = precedes
    this.#unbornEpoch = this.#parts.unborn.epoch
  }

  /**
   * Called about every second while Redis answers. A log without a publication adopts the current epoch of such channels, so that positions
   * in it stay valid. If Redis has lost its data, its readers are lost, and older positions are invalid.
   */
  renew (): void {
    const { log } = this
    const { unborn, metaTtl } = this.#parts
    if (log === undefined || this.#unbornEpoch === unborn.epoch) return
    const isSameEra = log.precedes(unborn.epoch)
    if (this.isUnborn && isSameEra) log.begin(unborn.epoch)
    else if (this.isUnborn) log.reset(unborn.epoch)
    if (!isSameEra) this.#precede(this.isUnborn ? unborn.precedes(metaTtl) : never)
    this.#unbornEpoch = unborn.epoch
  }

  #keep (announcements: Announcement[]): void {
    if (this.#kept!.length < maxKept) this.#kept!.push(...announcements)
    else this.#isBehind = true
  }

  #take ({ epoch, offset, mark, body }: Announcement): void {
    const { log } = this
    if (log === undefined || this.#isEnded) return
    if (offset === 1 && this.isUnborn) log.begin(epoch)
    if (log.epoch === epoch && log.head + 1 === offset) return this.#append(mark, body, performance.now())
    const known = this.#markAt(offset)
    const isRepeated = log.epoch === epoch && offset <= log.head && (known === undefined || known === mark)
    // A caller that waits for the log gets the error too. Otherwise the next check tries again.
    if (!isRepeated) this.catchUp().catch(() => {})
  }

  #append (mark: string, body: string, at: number): void {
    this.#recent.push({ mark, body, at })
    this.#mendable.count++
    this.#mendable.length += body.length
    while (this.#mendable.count > maxMendable.count || this.#mendable.length > maxMendable.length) this.#dropBody()
    // Not for each publication, because it moves all entries.
    if (this.#recent.length >= 2 * maxMendable.count) this.#trim()
    this.log!.append(body, at)
  }

  /** Drops the oldest body: that publication cannot be mended any more. */
  #dropBody (): void {
    const oldest = this.#recent[this.#recent.length - this.#mendable.count--]
    this.#mendable.length -= oldest.body!.length
    oldest.body = undefined
  }

  #trim (): void {
    this.#recent.splice(0, Math.max(0, this.#recent.length - Math.max(this.#mendable.count, maxRecent)))
  }

  get #lastMark (): string {
    return this.#recent.at(-1)?.mark ?? ''
  }

  #markAt (offset: number): string | undefined {
    return this.#recent[this.#recent.length - 1 - (this.log!.head - offset)]?.mark
  }

  /** Drops bodies of publications before a time: Redis is unlikely to lose them. */
  settle (before: number): void {
    const settled = this.#recent.findLastIndex(({ at }) => at < before) + 1
    while (this.#recent.length - this.#mendable.count < settled) this.#dropBody()
    this.#trim()
  }

  end (): void {
    this.#isEnded = true
  }
}

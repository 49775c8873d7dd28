import { never, type Log } from '../../../logs/log.js'
import type { StreamHead } from '../commands/read.js'
import type { Announcement } from './doorbell.js'
import { isUnborn, type Unborn } from './unborn.js'

/** What a log needs to be fed. */
export type Fed = Pick<Log, 'epoch' | 'head' | 'append' | 'begin' | 'precedes' | 'reset'>

/** A publication as it is stored. */
export interface StoredPublication {
  readonly mark: string
  readonly body: string
  /** When it was stored, in milliseconds before now. */
  readonly age: number
}

/** What follows a position; `stored` ends with the head, and is all that there is when it does not begin where it should. */
export interface Reading {
  /** `undefined`: the channel has no publication yet. */
  readonly head: StreamHead | undefined
  /** The channel is behind the position, or has another publication there. Nothing was read. */
  readonly isTailLost: boolean
  /** The channel has another epoch now, and its earlier publications are unknown. */
  readonly isForked: boolean
  readonly stored: StoredPublication[]
}

export interface FeedParts<L extends Fed> {
  createLog: (epoch: string) => L
  unborn: Pick<Unborn, 'epoch' | 'precedes'>
  /** What comes after a position; all that is retained when that is not known. */
  read: (after: StreamHead | undefined, inAnotherEpoch: boolean) => Promise<Reading>
  /** Puts publications behind the head that Redis has. Whether they are there now. */
  mend: (head: StreamHead, publications: Array<{ mark: string, body: string }>) => Promise<boolean>
}

/** One of the last publications. */
interface RecentPublication {
  readonly mark: string
  /** Until it is certain that Redis still has it. */
  body: string | undefined
  readonly at: number
}

/** So many announcements are kept while the stream is read; what is beyond is read from the stream again. */
const maxKept = 256

/** So many publications are remembered, so that another one with the offset of one of them is noticed, */
const maxRecent = 16
/** and so many, and so many characters, of those that Redis may have lost. */
const maxMendable = { count: 256, length: 1024 * 1024 }

/** Nodes that mend a channel at once get in each other's way so many times at most. */
const maxMendings = 3

/** Announcements that are under way get so many milliseconds before the stream is read instead. */
const patience = 50

/**
 * Keeps a channel's log on this node up to the stream in Redis: each publication once, in order and without a hole.
 * Where the stream no longer reaches back to where the log is, or turns out to be another one, the log starts again.
 */
export class Feed<L extends Fed = Fed> {
  readonly #parts: FeedParts<L>
  log: L | undefined
  /** Resolves once there is a log. */
  readonly begun: Promise<void>
  #begin = () => {}
  /** The newest last. */
  #recent: RecentPublication[] = []
  /** So many of the newest have a body, and those have so many characters. */
  #mendable = { count: 0, length: 0 }
  /** What was announced while the stream is read; `undefined` when it is not. */
  #kept: Announcement[] | undefined
  #reading: Promise<void> | undefined
  /** The epoch of channels without a publication when the log was last compared with it. */
  #unbornEpoch = ''
  /** Something was missed meanwhile: what is being read is not enough. */
  #isBehind = false
  /** When something was last heard of the channel, on the monotonic clock. */
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

  /** The log has no publication yet, and no epoch of its own. */
  get isUnborn (): boolean {
    return this.log !== undefined && isUnborn(this.log.epoch)
  }

  /** Whether the log has what Redis has. */
  has ({ epoch, offset, mark }: StreamHead): boolean {
    return this.log?.epoch === epoch && this.log.head === offset && this.#lastMark === mark
  }

  /** More was announced since Redis was asked. */
  #hasGoneOn ({ epoch, offset, mark }: StreamHead, before: number): boolean {
    return this.log?.epoch === epoch && offset >= before && offset < this.log.head && this.#markAt(offset) === mark
  }

  /**
   * Resolves once the log has what was at `head`. `before` is the offset up to which it was when Redis was asked: Redis
   * should have that. `undefined`: Redis does not have the channel. Rejects when it cannot be read.
   */
  async reach (head: StreamHead | undefined, before: number): Promise<void> {
    this.heardAt = performance.now()
    if (head === undefined) return this.isUnborn ? undefined : this.catchUp()
    if (this.has(head)) return
    const isOnItsWay = this.log?.epoch === head.epoch && this.log.head < head.offset
    if (isOnItsWay) await new Promise<void>(resolve => { setTimeout(resolve, patience) })
    if (!this.has(head) && !this.#hasGoneOn(head, before)) await this.catchUp()
  }

  /** Reads what the log has not from the stream. Rejects when that fails, and then the log is as it was. */
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
        // Another node may be faster, and have more or less of it.
        await this.#parts.mend(head, lost)
        reading = await this.#parts.read(after, false)
      }
      if (reading.isTailLost) reading = await this.#parts.read(after, true)
      if (this.#isEnded) return
      this.#apply(reading)
    } while (this.#isBehind)
  }

  /**
   * Redis failed over, or came back, without what it had stored last. What was lost, if all of it is here: then nobody has
   * missed anything once Redis has it again.
   */
  #lostAfter (head: StreamHead): Array<{ mark: string, body: string }> | undefined {
    const count = this.log!.head - head.offset
    const known = this.#markAt(head.offset)
    if (count < 1 || count > this.#mendable.count || (known !== undefined && known !== head.mark)) return undefined
    return this.#recent.slice(-count) as Array<{ mark: string, body: string }>
  }

  #apply ({ head, isForked, stored }: Reading): void {
    if (head === undefined) this.#applyUnborn()
    else this.#applyBorn(head, isForked, stored)
    this.#begin()
  }

  /** Nothing was published yet. A log that has been there before, and had nothing, keeps its readers where they are. */
  #applyUnborn (): void {
    const { unborn } = this.#parts
    if (this.log !== undefined) return this.renew()
    this.log = this.#parts.createLog(unborn.epoch)
    this.#precede(unborn.precedes())
  }

  #applyBorn ({ epoch, offset, mark: last }: StreamHead, isForked: boolean, stored: StoredPublication[]): void {
    const start = offset - stored.length
    const precedes = isForked ? never : this.#parts.unborn.precedes()
    const isNew = this.log === undefined
    this.log ??= this.#parts.createLog(epoch)
    const { log } = this
    if (this.isUnborn && start === 0 && precedes(log.epoch)) log.begin(epoch)
    const follows = log.epoch === epoch && log.head === start
    // A log that was just made has no reader yet, which would find itself lost.
    const now = performance.now()
    if (!follows) {
      log.reset(epoch, start)
      this.#recent = stored.length === 0 ? [{ mark: last, body: undefined, at: now }] : []
      this.#mendable = { count: 0, length: 0 }
    }
    // One that goes on has been followed since it was read, and knows more than can be read now.
    if (isNew || !follows) this.#precede(precedes)
    for (const { mark, body, age } of stored) this.#append(mark, body, now - age)
  }

  #precede (precedes: Log['precedes']): void {
    this.log!.precedes = precedes
    this.#unbornEpoch = this.#parts.unborn.epoch
  }

  /**
   * Called every second or so while Redis answers. A log without a publication follows the epoch of such channels, so that positions
   * in it are not old. When Redis has lost its data its readers find themselves lost, and older positions do not count any more.
   */
  renew (): void {
    const { log } = this
    const { unborn } = this.#parts
    if (log === undefined || this.#unbornEpoch === unborn.epoch) return
    const isSameEra = log.precedes(unborn.epoch)
    if (this.isUnborn && isSameEra) log.begin(unborn.epoch)
    else if (this.isUnborn) log.reset(unborn.epoch)
    if (!isSameEra) this.#precede(this.isUnborn ? unborn.precedes() : never)
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
    // Who waits for the log learns of a failure too; else it is tried again with the next check.
    if (!isRepeated) this.catchUp().catch(() => {})
  }

  #append (mark: string, body: string, at: number): void {
    this.#recent.push({ mark, body, at })
    this.#mendable.count++
    this.#mendable.length += body.length
    while (this.#mendable.count > maxMendable.count || this.#mendable.length > maxMendable.length) this.#dropBody()
    // Not with each, because it moves all that are left.
    if (this.#recent.length >= 2 * maxMendable.count) this.#trim()
    this.log!.append(body, at)
  }

  /** The oldest one: it cannot be mended any more. */
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

  /** What was published before this time will not be lost by Redis any more, as far as one can tell. */
  settle (before: number): void {
    const settled = this.#recent.findLastIndex(({ at }) => at < before) + 1
    while (this.#recent.length - this.#mendable.count < settled) this.#dropBody()
    this.#trim()
  }

  end (): void {
    this.#isEnded = true
  }
}

import { formOf } from '../logs/channel-log.js'
import { Log, type Deflatable, type Frame, type FrameOf, type Reader } from '../logs/log.js'
import type { Present } from './log/entry.js'
import { countData, differenceData, stateData, type MemberMap } from './frame.js'
import { mergedChange, type Change, type Changes } from './log/roster.js'

/** Number of the newest versions from which a reader gets a difference. From an earlier one it gets the state. */
const keptVersions = 32

/** Fraction of the maximum number of members below which they are listed again, so that a change of one member does not toggle it. */
const listedAgainBelow = 0.9

/** Maximum number of readers that are woken per call of `wakeReaders`, on average: ten calls a second cost at most 5,000 frames. */
const readersPerCall = 500

/**
 * Versions of the list of members of a channel, for the connections that read it. A reader that is behind gets one frame, however many
 * versions it has missed: the difference, or the state. Each frame is encoded once for all readers that need it.
 *
 * Its offsets are the versions. A reader with another epoch has read none, and gets the state.
 */
export class Versions extends Log {
  readonly length = 0
  readonly #max: number
  readonly #members = new Map<string, Map<string, Present>>()
  /** Changes of the newest versions, the newest last. */
  #kept: Changes[] = []
  /** Frames that lead to the newest version, by version; that of 0 is the state. */
  readonly #frames = new Map<number, Frame | Deflatable>()
  #isStale = false
  #isListed = true
  /** Version for which the readers were woken last, and the number of calls for a later one that have woken none. */
  #wokenFor = 0
  #skipped = 0

  /** `max`: number of members above which only their number is sent. `frameOf`: encodes the `data` of a frame. */
  constructor (max: number, frameOf: FrameOf) {
    super('members', { size: 0, ttl: 0, lag: 0 }, frameOf)
    this.#max = max
  }

  get members (): MemberMap {
    return this.#members
  }

  get evicted (): number {
    return 0
  }

  get beginning (): number {
    return this.head
  }

  /** Makes the next version, and wakes no reader. Does nothing without news. `isStale`: whether the list may be old. */
  publish (changes: Changes, isStale: boolean): void {
    const { size: before } = this.#members
    for (const [id, change] of changes) this.#apply(id, change)
    const wasListed = this.#isListed
    this.#isListed = this.#members.size <= (wasListed ? this.#max : this.#max * listedAgainBelow)
    const isNews = this.#isListed ? changes.size > 0 || !wasListed : wasListed || before !== this.#members.size
    if (this.head > 0 && !isNews && isStale === this.#isStale) return
    this.#isStale = isStale
    this.head++
    this.#kept = this.#isListed && wasListed ? [...this.#kept.slice(1 - keptVersions), changes] : []
    this.#frames.clear()
  }

  /**
   * Wakes the readers for the newest version, with many readers only every few calls: so the cost of a change does not grow with their
   * number. Returns whether they were woken for the newest version. If not, call it again.
   */
  wakeReaders (): boolean {
    if (this.#wokenFor === this.head) return true
    this.#skipped++
    if (this.#skipped * readersPerCall < this.readers.length) return false
    this.#skipped = 0
    this.#wokenFor = this.head
    this.wakeAll()
    return true
  }

  #apply (id: string, { before, after }: Change): void {
    const { user } = (after ?? before)!
    const connections = this.#members.get(user)
    if (after === undefined) {
      connections?.delete(id)
      if (connections?.size === 0) this.#members.delete(user)
    } else if (connections === undefined) this.#members.set(user, new Map([[id, after]]))
    else connections.set(id, after)
  }

  override isLost (): boolean {
    return false
  }

  behind (reader: Reader): number {
    return this.#isBehind(reader) ? 1 : 0
  }

  read (reader: Reader, _room: number, textOnly = false): Frame {
    if (!this.#isBehind(reader)) return ''
    const from = reader.epoch === this.epoch && reader.offset >= this.head - this.#kept.length ? reader.offset : 0
    const frame = formOf(this.#frameFrom(from), reader.isDeflated === true)
    if (textOnly && typeof frame !== 'string') return ''
    this.skipToHead(reader)
    return frame
  }

  #isBehind ({ epoch, offset }: Reader): boolean {
    return epoch !== this.epoch || offset !== this.head
  }

  #frameFrom (version: number): Frame | Deflatable {
    const known = this.#frames.get(version)
    if (known !== undefined) return known
    const frame = this.frameOf(this.position, this.#dataFrom(version))
    this.#frames.set(version, frame)
    return frame
  }

  #dataFrom (version: number): string {
    const parts = { count: this.#members.size, isStale: this.#isStale }
    if (!this.#isListed) return countData(parts)
    if (version === 0) return stateData(this.#members, parts)
    return differenceData(merged(this.#kept.slice(version - this.head)), parts)
  }

  append (): void {}
  expire (): void {}
  trim (): void {}
  protected clear (): void {}

  shift (): number {
    return 0
  }
}

/** One set of changes for consecutive ones. */
function merged (versions: Changes[]): Changes {
  if (versions.length === 1) return versions[0]
  const all = new Map<string, Change>()
  for (const changes of versions) {
    for (const [id, change] of changes) {
      const both = mergedChange(all.get(id), change)
      all.delete(id)
      if (both !== undefined) all.set(id, both)
    }
  }
  return all
}

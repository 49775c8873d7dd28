import type { Broker, Retention } from '../brokers/broker.js'
import type { FrameOf, Log, Reader } from '../logs/log.js'
import type { Attendee, ChannelKind, Reading } from '../server/kinds.js'
import type { Deadline } from '../time/deadline.js'
import type { Timers } from '../time/timers.js'
import { encodeEntry, splitEntry, type Entry } from './log/entry.js'
import type { EntryListener, PresenceLog } from './log/presence-log.js'
import type { Changes } from './log/roster.js'
import { OwnConnections } from './own.js'
import { Versions } from './versions.js'

/** Minimum time between two entries of this node, and between two versions for clients, in ms. */
const pace = 100

/** Time that the other nodes get to publish their states before the first version, in ms. */
const settleTime = 250

/** Time until the list counts as true again after the broker was away, in ms: by then the nodes have published their states. */
const recoverTime = 1_000

/** Time until a failed call of the broker is repeated, in ms. */
const retryAfter = 1_000

/** Time for which the connections of a node that has announced its end stay, in ms. */
export const graceTime = 5_000

/** A node that is not alive, but has published within this time, has just started. In ms. */
const freshTime = 2_000

export interface AttendedParts {
  readonly broker: Broker
  readonly timers: Timers
  /** Ends grace periods. */
  readonly grace: Deadline
  /** Monotonic clock of the broker, in ms. */
  readonly now: () => number
  readonly kind: ChannelKind
  /** Name of the presence log. */
  readonly name: string
  /** Name of the channel. */
  readonly channel: string
  readonly max: number
  readonly frameOf: FrameOf
  readonly retention: Retention
  /** Whether another connection of a user may linger. If it may, it is counted until `onLingered`. */
  readonly mayLinger: (userId: string) => boolean
  readonly onLingered: (userId: string) => void
  /** Called when it is no longer needed. */
  readonly onIdle: (attended: Attended) => void
}

interface Attendance {
  isListed: boolean
  reading: Reading | undefined
}

/** Presence of a channel on this node: follows its log, publishes this node's connections, and makes the versions that connections read. */
export class Attended implements EntryListener, Reader {
  readonly #parts: AttendedParts
  readonly #own = new OwnConnections()
  readonly #attendees = new Map<Attendee, Attendance>()
  /** Connections that have not read the list yet. */
  readonly #arriving = new Map<Attendee, Attendance>()
  readonly versions: Versions
  /** Resolves when the list is complete. */
  readonly settled: Promise<void>
  offset = 0
  epoch = ''
  seat = -1
  joined = 0
  #log: PresenceLog | undefined
  #settle = () => {}
  #isSettled = false
  #isStale = false
  /** Content of the next entry: all own connections, with or without `hello`, or the changes. */
  #due: 'state' | 'hello' | 'changes' = 'hello'
  #isPublishing = false
  #publishedAt = -Infinity
  #versionAt = -Infinity
  #stopPublish: (() => void) | undefined
  #stopVersion: (() => void) | undefined
  /** Number of callers that are no connections and need it. */
  #needs = 0
  #isEnded = false

  constructor (parts: AttendedParts) {
    this.#parts = parts
    this.versions = new Versions(parts.max, parts.frameOf)
    this.settled = new Promise(resolve => { this.#settle = resolve })
  }

  /** Begins to follow the log. Never rejects: it is tried again while the channel is needed. */
  async start (): Promise<void> {
    const { broker, name, retention, timers } = this.#parts
    try {
      const found = broker.subscribe(name, retention)
      this.#follow(('then' in found ? await found : found) as PresenceLog)
    } catch {
      // The broker has logged why.
      timers.after(retryAfter, () => {
        if (!this.#isEnded) this.start()
      })
    }
  }

  #follow (log: PresenceLog): void {
    if (this.#isEnded) return
    this.#log = log
    log.listener = this
    log.add(this)
    for (const node of log.roster.leaving) this.#dropLater(node)
    this.onAlive()
    this.#publishSoon()
  }

  wake (): void {}
  catchUp (): void {}

  /** Adds a connection that reads the channel, or lets it read the state again. */
  enter (attendee: Attendee, isHidden: boolean | undefined): void {
    const attendance = this.#attendees.get(attendee) ?? { isListed: false, reading: undefined }
    const isToBeListed = isHidden === undefined ? attendance.isListed || !this.#attendees.has(attendee) : !isHidden
    if (isToBeListed && !attendance.isListed) this.#own.enter(attendee.id, attendee.userId)
    if (!isToBeListed && attendance.isListed) this.#own.leave(attendee.id)
    attendance.isListed = isToBeListed
    this.#attendees.set(attendee, attendance)
    if (attendance.reading !== undefined) attendance.reading.restart()
    else if (this.#isSettled && !attendance.isListed) this.#show(attendee, attendance)
    else this.#arriving.set(attendee, attendance)
    this.#publishSoon()
  }

  /** Shows the list to the connections that wait for it: one that enters waits until it is listed itself. */
  #showAll (): void {
    for (const [attendee, attendance] of this.#arriving) this.#show(attendee, attendance)
    this.#arriving.clear()
  }

  #show (attendee: Attendee, attendance: Attendance): void {
    const { kind, channel } = this.#parts
    attendance.reading = attendee.read(this.versions as Log, kind, channel)
  }

  /** Removes a connection that has entered, at once or after its grace period. */
  leave (attendee: Attendee, isClean: boolean): void {
    const attendance = this.#attendees.get(attendee)!
    const { id, userId } = attendee
    attendance.reading?.end()
    this.#attendees.delete(attendee)
    this.#arriving.delete(attendee)
    if (attendance.isListed) {
      if (isClean || !this.#parts.mayLinger(userId)) this.#own.leave(id)
      else this.#linger(id, userId)
    }
    this.#publishSoon()
    this.#endIfIdle()
  }

  #linger (id: string, userId: string): void {
    const { grace, onLingered } = this.#parts
    const stop = grace.add(() => {
      this.#own.leave(id)
      this.#publishSoon()
      this.#endIfIdle()
    })
    this.#own.linger(id, () => {
      stop()
      onLingered(userId)
    })
  }

  /** Whether a connection reads the channel without being listed; `undefined` if it does not read it. */
  isHidden (attendee: Attendee): boolean | undefined {
    const attendance = this.#attendees.get(attendee)
    return attendance && !attendance.isListed
  }

  /** Replaces the data of a connection, JSON as text. */
  update ({ id }: Attendee, data: string | undefined): void {
    this.#own.update(id, data)
    this.#publishSoon()
  }

  /** Keeps it for a caller that is no connection. */
  need (ms: number): void {
    this.#needs++
    this.#parts.timers.after(ms, () => {
      this.#needs--
      this.#endIfIdle()
    })
  }

  /** Makes a version with everything that is known. The connections read it in their turn. */
  refresh (): void {
    if (this.#isSettled && !this.#isEnded) this.versions.publish(this.#log!.roster.take(), this.#isStale)
  }

  onEntry (entry: Entry): void {
    const isOwn = entry.node === this.#node
    if (!isOwn && entry.kind === 'bye') this.#dropLater(entry.node)
    if (!isOwn && entry.kind === 'state' && entry.hello === true && this.#own.size > 0) {
      if (this.#due === 'changes') this.#due = 'state'
      this.#publishSoon()
    }
    this.#versionSoon()
  }

  onMissed (): void {
    this.#due = 'hello'
    this.#publishSoon()
  }

  #dropLater (node: string): void {
    this.#parts.timers.after(graceTime, () => {
      this.#log?.drop(node)
      this.#versionSoon()
    })
  }

  get #node (): string {
    return this.#parts.broker.nodes?.id ?? ''
  }

  /** Call when the nodes that are alive were read again, or cannot be read. */
  onAlive (): void {
    const { broker: { nodes }, now, timers } = this.#parts
    if (nodes === undefined || this.#log === undefined || this.#isEnded) return
    const { alive } = nodes
    if (alive === undefined) {
      this.#setStale(true)
      return
    }
    const log = this.#log
    for (const node of log.roster.silentSince(now() - freshTime)) if (!alive.includes(node)) log.drop(node)
    this.#versionSoon()
    if (!this.#isStale) return
    this.onMissed()
    timers.after(recoverTime, () => { if (nodes.alive !== undefined) this.#setStale(false) })
  }

  #setStale (isStale: boolean): void {
    this.#isStale = isStale
    this.#versionSoon()
  }

  #publishSoon (): void {
    const isNeeded = this.#due !== 'changes' || this.#own.hasChanged
    if (this.#log === undefined || this.#isEnded || this.#isPublishing || !isNeeded) return
    const { now, timers } = this.#parts
    this.#stopPublish ??= timers.after(Math.max(0, this.#publishedAt + pace - now()), () => {
      this.#stopPublish = undefined
      // Never rejects.
      this.#publish()
    })
  }

  async #publish (): Promise<void> {
    const { broker, name, retention, now } = this.#parts
    const entry = this.#nextEntry()
    this.#publishedAt = now()
    if (entry !== undefined) {
      this.#isPublishing = true
      try {
        for (const part of splitEntry(entry)) {
          const stored = broker.publish(name, encodeEntry(part), retention)
          if ('then' in stored) await stored
        }
        if (!this.#isSettled && entry.kind === 'state') this.#settleSoon()
      } catch {
        // The broker has logged why. Others may lack the entry, so the next one has all connections.
        this.#due = 'hello'
        this.#publishedAt = now() + retryAfter - pace
      }
      this.#isPublishing = false
    } else if (!this.#isSettled) this.#settleNow()
    this.#publishSoon()
    this.#endIfIdle()
  }

  #nextEntry (): Entry | undefined {
    const { now } = this.#parts
    const node = this.#node
    const due = this.#due
    this.#due = 'changes'
    if (due === 'hello' && this.#isNobodyKnown) return undefined
    if (due !== 'changes') return { kind: 'state', node, present: this.#own.takeAll(now()), hello: due === 'hello' ? true : undefined }
    const change = this.#own.take(now())
    return change.present.length + change.gone.length === 0 ? undefined : { kind: 'change', node, ...change }
  }

  /** Whether no node has published a connection, and this one has none to publish. So a server that only reads a channel writes nothing. */
  get #isNobodyKnown (): boolean {
    return this.#log!.head === 0 && this.#own.size === 0 && !this.#own.hasChanged
  }

  /** Waits for the states of the other nodes, if there are any. */
  #settleSoon (): void {
    const { broker: { nodes }, timers } = this.#parts
    const isAlone = nodes === undefined || nodes.alive?.length === 1
    if (isAlone) this.#settleNow()
    else timers.after(settleTime, () => this.#settleNow())
  }

  #settleNow (): void {
    if (this.#isSettled || this.#isEnded) return
    this.#isSettled = true
    this.#makeVersion(this.#log!.roster.takeAll())
    this.#settle()
  }

  #versionSoon (): void {
    if (!this.#isSettled || this.#isEnded) return
    const { now, timers } = this.#parts
    this.#stopVersion ??= timers.after(Math.max(0, this.#versionAt + pace - now()), () => {
      this.#stopVersion = undefined
      this.#makeVersion(this.#log!.roster.take())
    })
  }

  /** Makes a version, and shows it to new connections. The others read it in their turn. */
  #makeVersion (changes: Changes): void {
    this.#versionAt = this.#parts.now()
    this.versions.publish(changes, this.#isStale)
    this.#showAll()
    if (!this.versions.wakeReaders()) this.#versionSoon()
  }

  /** Announces that this node ends. Never rejects. */
  async bye (): Promise<void> {
    const { broker, name, retention } = this.#parts
    const hasOthers = broker.nodes !== undefined && broker.nodes.alive?.length !== 1
    const isKnown = this.#log !== undefined && this.#own.size > 0 && hasOthers
    this.#end()
    // If it cannot be stored, the others notice later that this node is dead.
    if (isKnown) await Promise.resolve(broker.publish(name, encodeEntry({ kind: 'bye', node: this.#node }), retention)).catch(() => {})
  }

  #endIfIdle (): void {
    const isUsed = this.#attendees.size + this.#own.size + this.#needs > 0
    // What the others know of this node's connections is still to be published.
    const isPending = this.#isPublishing || (this.#log !== undefined && this.#own.hasChanged)
    if (isUsed || isPending || this.#isEnded) return
    this.#end()
    this.#parts.onIdle(this)
  }

  #end (): void {
    this.#isEnded = true
    this.#stopPublish?.()
    this.#stopVersion?.()
    this.#log?.remove(this)
    if (this.#log?.listener === this) this.#log.listener = undefined
  }
}

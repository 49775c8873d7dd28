import { Log, type Frame } from '../../logs/log.js'
import { decodeEntry, type Entry } from './entry.js'
import { Roster } from './roster.js'

/** Follows the entries of a presence log. */
export interface EntryListener {
  /** Called after an entry was merged. */
  onEntry (entry: Entry): void
  /** Called when entries may have been missed. */
  onMissed (): void
}

/** Log of the presence in a channel, as the broker keeps it: entries are merged into a roster, and none is retained. */
export class PresenceLog extends Log {
  readonly roster = new Roster()
  /** Set while this node follows the channel. */
  listener: EntryListener | undefined
  readonly length = 0

  get evicted (): number {
    return this.head
  }

  get beginning (): number {
    return this.head
  }

  append (body: string, now: number): void {
    this.head++
    const entry = decodeEntry(body)
    if (entry === undefined) return
    this.roster.apply(entry, now)
    this.bytes = this.roster.bytes
    this.listener?.onEntry(entry)
  }

  /** The roster stays until the nodes have published their states again: connections are gone only when that is known. */
  protected clear (): void {}

  override reset (epoch: string, head?: number): void {
    super.reset(epoch, head)
    this.bytes = this.roster.bytes
    this.listener?.onMissed()
  }

  /** Removes all connections of a node. */
  drop (node: string): void {
    this.roster.drop(node)
    this.bytes = this.roster.bytes
  }

  expire (): void {}
  trim (): void {}

  shift (): number {
    return 0
  }

  behind (): number {
    return 0
  }

  read (): Frame {
    return ''
  }
}

import type { EnteredConnection } from '../../broker.js'
import type { Keys } from '../keys.js'
import type { RedisLink } from '../link/link.js'
import { tellAgainAfter, type Members } from './members.js'
import { connections } from '../commands/connections.js'
import { enter } from '../commands/enter.js'

/** Time after which an entry expires unless it is renewed, in ms: its node has ended, or its removal failed. */
const ttl = 600_000

/** Interval at which this node renews its entries, in ms. */
const renewEvery = 200_000

/** Maximum number of connections whose state is sent at once. */
const slice = 100

/** Maximum number of changes that are sent again. Others are corrected by a renewal, or expire. */
const maxChanges = 20_000

/** Time for nodes to show a pulse before a connection is refused because of theirs, in ms. */
const provenWithin = 1_600

interface Change {
  readonly connectionId: string
  readonly key: string
  /** On the monotonic clock, in ms. */
  readonly at: number
}

/** Connections under each key, with their nodes. */
export class Presences {
  readonly #link: RedisLink
  readonly #keys: Keys
  readonly #members: Pick<Members, 'id' | 'alive' | 'silent' | 'isOneSilent'>
  /** Keys of this node's connections, by connection id. */
  readonly #entered = new Map<string, string>()
  /** Recent entries and removals, by connection id, the oldest first. */
  readonly #changes = new Map<string, Change>()
  #renewedAt = performance.now()
  #isLooking = false

  /** Counts the connections of live `members`. For a limit, those of silent nodes do not count. */
  constructor (link: RedisLink, keys: Keys, members: Pick<Members, 'id' | 'alive' | 'silent' | 'isOneSilent'>) {
    this.#link = link
    this.#keys = keys
    this.#members = members
  }

  async enter (key: string, connectionId: string, limit: number): Promise<boolean> {
    this.#entered.set(connectionId, key)
    try {
      const isEntered = await this.#enterIfDue(key, connectionId, limit)
      if (!isEntered) this.#entered.delete(connectionId)
      // It left meanwhile, before its entry.
      else if (!this.#entered.has(connectionId)) this.leave(key, connectionId)
      else this.#changed(key, connectionId)
      return isEntered
    } catch (error) {
      // It may be entered nevertheless.
      this.leave(key, connectionId)
      throw error
    }
  }

  /** Before connections count against the limit, their nodes must show a pulse: a node that was just killed is not silent yet. */
  async #enterIfDue (key: string, connectionId: string, limit: number): Promise<boolean> {
    const end = performance.now() + provenWithin
    for (;;) {
      const inTheWay = await this.#enter(key, connectionId, limit)
      if (inTheWay.length === 0) return true
      if (!await this.#members.isOneSilent(inTheWay, end - performance.now())) return false
    }
  }

  /** Enters a connection. Returns the nodes of the connections that exceed the limit; none if it is entered. */
  async #enter (key: string, connectionId: string, limit: number): Promise<string[]> {
    const { id, alive, silent } = this.#members
    return enter(this.#link, { presence: this.#keys.presence(key), connectionId, node: id, limit, ttl, silent, alive })
  }

  leave (key: string, connectionId: string): void {
    this.#entered.delete(connectionId)
    this.#changed(key, connectionId)
    // A failure goes to the health, and the removal is sent again with the next beat.
    this.#remove(key, connectionId).catch(() => {})
  }

  async #remove (key: string, connectionId: string): Promise<void> {
    if (!this.#link.isReady) throw this.#link.health.refusal()
    await this.#link.ask('HDEL', this.#link.client.hdel(this.#keys.presence(key), connectionId))
  }

  #changed (key: string, connectionId: string): void {
    this.#changes.delete(connectionId)
    if (this.#changes.size < maxChanges) this.#changes.set(connectionId, { connectionId, key, at: performance.now() })
  }

  async present (key: string): Promise<EnteredConnection[]> {
    return connections(this.#link, this.#keys.presence(key), this.#members.alive)
  }

  /** Called every few seconds while Redis answers. `now`: monotonic clock, in ms. */
  async look (now = performance.now()): Promise<void> {
    if (this.#isLooking) return
    this.#isLooking = true
    await this.#tellAll([...this.#changes.values()].filter(({ at }) => now - at >= tellAgainAfter))
    this.#isLooking = false
    if (now - this.#renewedAt > renewEvery) await this.renew()
  }

  /** Sends all entries again, because Redis may have lost them. After a failure, one of the next looks tries again. */
  async renew (): Promise<void> {
    this.#renewedAt = performance.now()
    const all = [...this.#entered].map(([connectionId, key]) => ({ connectionId, key, at: this.#renewedAt }))
    if (!await this.#tellAll(all)) this.#renewedAt = -Infinity
  }

  /** Sends the current state of connections, a few at a time, until one fails. Returns whether all succeeded. */
  async #tellAll (changes: Change[]): Promise<boolean> {
    for (let at = 0; at < changes.length; at += slice) {
      const told = await Promise.allSettled(changes.slice(at, at + slice).map(change => this.#tell(change)))
      if (told.some(({ status }) => status === 'rejected')) return false
    }
    return true
  }

  async #tell (change: Change): Promise<void> {
    const { connectionId, key } = change
    const isHere = this.#entered.has(connectionId)
    if (isHere) await this.#enter(key, connectionId, Number.MAX_SAFE_INTEGER)
    else await this.#remove(key, connectionId)
    // It may have left while it was being entered.
    if (isHere !== this.#entered.has(connectionId)) return this.leave(key, connectionId)
    if (this.#changes.get(connectionId) === change) this.#changes.delete(connectionId)
  }

  /** Removes all entries of this node, as far as possible at once. Never rejects. */
  async close (): Promise<void> {
    const entered = [...this.#entered].map(([connectionId, key]) => ({ connectionId, key }))
    const left = [...entered, ...this.#changes.values()]
    this.#entered.clear()
    this.#changes.clear()
    await Promise.allSettled(left.map(({ key, connectionId }) => this.#remove(key, connectionId)))
  }
}

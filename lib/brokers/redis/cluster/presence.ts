import type { Presence } from '../../broker.js'
import type { Keys } from '../keys.js'
import type { RedisLink } from '../link/link.js'
import { tellAgainAfter, type Members } from './members.js'
import { connections } from '../commands/connections.js'
import { enter } from '../commands/enter.js'

/** What is not renewed for so long is gone, in milliseconds: it is of a node that ended, or its end could not be told. */
const ttl = 600_000

/** How often this node renews what it entered, in milliseconds. */
const renewEvery = 200_000

/** So many connections are told of at a time. */
const slice = 100

/** So many are told of again; of others a renewal tells, or they expire. */
const maxChanges = 20_000

/** Time for nodes to show that they are there before a connection is refused because of theirs, in ms. */
const provenWithin = 1_600

interface Change {
  readonly connectionId: string
  readonly key: string
  /** On the monotonic clock. */
  readonly at: number
}

/** Where the connections under each key are. */
export class Presences {
  readonly #link: RedisLink
  readonly #keys: Keys
  readonly #members: Pick<Members, 'id' | 'alive' | 'silent' | 'isOneSilent'>
  /** This node's connections: their keys, by their ids. */
  readonly #entered = new Map<string, string>()
  /** Those that came or went lately, by their ids, the oldest first. */
  readonly #changes = new Map<string, Change>()
  #renewedAt = performance.now()
  #isLooking = false

  /** Counts the connections of nodes in `members` that are alive. At a limit, connections of silent nodes are left out. */
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
      // It left meanwhile, and the entry came after that.
      else if (!this.#entered.has(connectionId)) this.leave(key, connectionId)
      else this.#changed(key, connectionId)
      return isEntered
    } catch (error) {
      // It may be entered for all we know.
      this.leave(key, connectionId)
      throw error
    }
  }

  /** A node that was killed a moment ago is not silent yet: nodes whose connections are in the way have to show that they are there. */
  async #enterIfDue (key: string, connectionId: string, limit: number): Promise<boolean> {
    const end = performance.now() + provenWithin
    for (;;) {
      const inTheWay = await this.#enter(key, connectionId, limit)
      if (inTheWay.length === 0) return true
      if (!await this.#members.isOneSilent(inTheWay, end - performance.now())) return false
    }
  }

  /** The nodes of the connections that are too many; none when it is entered. */
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

  async present (key: string): Promise<Presence[]> {
    return connections(this.#link, this.#keys.presence(key), this.#members.alive)
  }

  /** Called every few seconds while Redis answers; `now` on the monotonic clock, in milliseconds. */
  async look (now = performance.now()): Promise<void> {
    if (this.#isLooking) return
    this.#isLooking = true
    await this.#tellAll([...this.#changes.values()].filter(({ at }) => now - at >= tellAgainAfter))
    this.#isLooking = false
    if (now - this.#renewedAt > renewEvery) await this.renew()
  }

  /** Redis may have lost what it had. What cannot be told now is told with one of the next looks. */
  async renew (): Promise<void> {
    this.#renewedAt = performance.now()
    const all = [...this.#entered].map(([connectionId, key]) => ({ connectionId, key, at: this.#renewedAt }))
    if (!await this.#tellAll(all)) this.#renewedAt = -Infinity
  }

  /** Tells how it is by now, of a few at a time, until one of them fails. Whether none did. */
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
    // It may have left while it was entered.
    if (isHere !== this.#entered.has(connectionId)) return this.leave(key, connectionId)
    if (this.#changes.get(connectionId) === change) this.#changes.delete(connectionId)
  }

  /** Tells the end of all that are left, as far as that can be done at once. Never rejects. */
  async close (): Promise<void> {
    const entered = [...this.#entered].map(([connectionId, key]) => ({ connectionId, key }))
    const left = [...entered, ...this.#changes.values()]
    this.#entered.clear()
    this.#changes.clear()
    await Promise.allSettled(left.map(({ key, connectionId }) => this.#remove(key, connectionId)))
  }
}

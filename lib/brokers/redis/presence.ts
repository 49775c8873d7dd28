import type { Presence } from '../broker.js'
import { isReady, run, type RedisClient } from './connection.js'
import type { Keys } from './keys.js'
import { connections, enter } from './scripts.js'

/** What is not renewed for so long is gone, in milliseconds: it is of a node that ended, or its end could not be told. */
const ttl = 600_000

/** How often this node renews what it entered, in milliseconds. */
const renewEvery = 200_000

/** So many users are renewed at a time. */
const slice = 100

/** Ends that could not be told are told later; those beyond this number expire. */
const maxUntold = 10_000

/** Where the connections of users are. */
export class PresenceOfUsers {
  readonly #connection: RedisClient
  readonly #keys: Keys
  readonly #node: string
  readonly #alive: () => readonly string[]
  /** This node's connections: their users, by their ids. */
  readonly #entered = new Map<string, string>()
  readonly #untold = new Map<string, string>()
  #renewedAt = performance.now()
  #isRenewing = false

  /** `alive` are the nodes whose connections count. */
  constructor (connection: RedisClient, keys: Keys, node: string, alive: () => readonly string[]) {
    this.#connection = connection
    this.#keys = keys
    this.#node = node
    this.#alive = alive
  }

  async enter (userId: string, connectionId: string, limit: number): Promise<boolean> {
    this.#entered.set(connectionId, userId)
    try {
      const isEntered = await this.#enter(userId, connectionId, limit)
      if (!isEntered) this.#entered.delete(connectionId)
      // It left meanwhile, and the entry came after that.
      else if (!this.#entered.has(connectionId)) this.leave(userId, connectionId)
      return isEntered
    } catch (error) {
      // It may be entered for all we know.
      this.leave(userId, connectionId)
      throw error
    }
  }

  async #enter (userId: string, connectionId: string, limit: number): Promise<boolean> {
    const args = [connectionId, this.#node, limit, ttl, ...this.#alive()]
    return await run(this.#connection, enter, [this.#keys.presence(userId)], args) === 1
  }

  leave (userId: string, connectionId: string): void {
    this.#entered.delete(connectionId)
    if (this.#untold.size < maxUntold) this.#untold.set(connectionId, userId)
    this.#tell(userId, connectionId)
  }

  async #tell (userId: string, connectionId: string): Promise<void> {
    if (!isReady(this.#connection)) return
    try {
      await this.#connection.hdel(this.#keys.presence(userId), connectionId)
      this.#untold.delete(connectionId)
    } catch {}
  }

  async present (userId: string): Promise<Presence[]> {
    const found = await run(this.#connection, connections, [this.#keys.presence(userId)], [...this.#alive()]) as string[]
    return found.flatMap((connectionId, at) => at % 2 === 0 ? [{ connectionId, node: found[at + 1] }] : [])
  }

  /** Called every few seconds while Redis answers. */
  look (): void {
    for (const [connectionId, userId] of this.#untold) this.#tell(userId, connectionId)
    if (performance.now() - this.#renewedAt > renewEvery) this.renew()
  }

  /** Enters all of this node's connections again, a few at a time. */
  async renew (): Promise<void> {
    if (this.#isRenewing) return
    this.#isRenewing = true
    this.#renewedAt = performance.now()
    const entered = [...this.#entered]
    for (let at = 0; at < entered.length; at += slice) {
      const some = entered.slice(at, at + slice).filter(([connectionId]) => this.#entered.has(connectionId))
      const entering = some.map(([connectionId, userId]) => this.#enter(userId, connectionId, Number.MAX_SAFE_INTEGER))
      const outcomes = await Promise.allSettled(entering)
      for (const [connectionId, userId] of some) if (!this.#entered.has(connectionId)) this.leave(userId, connectionId)
      // Not now: with one of the next looks.
      if (outcomes.some(({ status }) => status === 'rejected')) this.#renewedAt = -Infinity
    }
    this.#isRenewing = false
  }

  /** Tells the end of all that are left, as far as that can be done at once. */
  async close (): Promise<void> {
    const left = [...this.#entered, ...this.#untold]
    this.#entered.clear()
    await Promise.all(left.map(([connectionId, userId]) => this.#tell(userId, connectionId)))
    this.#untold.clear()
  }
}

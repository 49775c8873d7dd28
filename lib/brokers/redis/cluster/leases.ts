import type { Lease } from '../../broker.js'
import type { Keys } from '../keys.js'
import type { RedisLink } from '../link/link.js'
import { tellAgainAfter } from './members.js'
import { hold } from '../commands/hold.js'
import { release } from '../commands/release.js'

class HeldLease implements Lease {
  readonly key: string
  readonly data: string
  /** Whether this node inherited it from a dead one while it requested it. */
  isInherited = false
  /** Whether the lease may have been lost: other nodes regarded this node as dead, and one of them may have held the lease meanwhile. */
  mayBeOver = false
  readonly #controller = new AbortController()
  readonly #release: (lease: HeldLease) => Promise<void>

  constructor (key: string, data: string, release: (lease: HeldLease) => Promise<void>) {
    this.key = key
    this.data = data
    this.#release = release
  }

  get lost (): AbortSignal {
    return this.#controller.signal
  }

  lose (): void {
    this.#controller.abort()
  }

  release (): Promise<void> {
    return this.#release(this)
  }
}

/** Leases that this node holds. */
export class Leases {
  readonly #link: RedisLink
  readonly #keys: string[]
  readonly #node: string
  readonly #held = new Map<string, HeldLease>()
  /** Times of recent holds and releases, by key, on the monotonic clock, in ms. Each is sent to Redis again. */
  readonly #changes = new Map<string, number>()
  readonly #listeners = new Set<(lease: Lease) => void>()

  constructor (link: RedisLink, keys: Keys, node: string) {
    this.#link = link
    this.#keys = ['holders', 'leases', 'alive'].map(name => keys.shared(name))
    this.#node = node
  }

  async hold (key: string, data: string): Promise<Lease | undefined> {
    if (this.#held.has(key)) return undefined
    const lease = new HeldLease(key, data, this.#release)
    this.#held.set(key, lease)
    this.#changed(key)
    try {
      if (await this.#hold(lease) || lease.isInherited) return lease
    } catch (error) {
      // It may be held nevertheless.
      this.#release(lease)
      throw error
    }
    this.#held.delete(key)
    this.#changes.delete(key)
    return undefined
  }

  async #hold ({ key, data, mayBeOver }: HeldLease): Promise<boolean> {
    return hold(this.#link, { keys: this.#keys, node: this.#node, lease: key, data, isHeld: mayBeOver })
  }

  /** Releases a lease. Never rejects: a failure goes to the health, and the release is sent again with the next beat. */
  readonly #release = async (lease: HeldLease): Promise<void> => {
    const { key } = lease
    if (this.#held.get(key) !== lease) return
    this.#held.delete(key)
    this.#changed(key)
    await this.#free(key).catch(() => {})
  }

  async #free (key: string): Promise<void> {
    if (!this.#link.isReady) throw this.#link.health.refusal()
    await release(this.#link, this.#keys, this.#node, key)
  }

  #changed (key: string, at = performance.now()): void {
    // Keeps the changes in the order in which the leases were taken, for sending them again.
    this.#changes.delete(key)
    this.#changes.set(key, at)
  }

  onInherited (listener: (lease: Lease) => void): () => void {
    this.#listeners.add(listener)
    return () => { this.#listeners.delete(listener) }
  }

  get canInherit (): boolean {
    return this.#listeners.size > 0
  }

  inherit (leases: Array<[key: string, data: string]>): void {
    for (const [key, data] of leases) {
      const held = this.#held.get(key)
      if (held !== undefined) held.isInherited = true
      // A lease that has changed and is not held was released.
      if (held !== undefined || this.#changes.has(key)) continue
      const lease = new HeldLease(key, data, this.#release)
      this.#held.set(key, lease)
      for (const listener of this.#listeners) listener(lease)
    }
  }

  /** Called every few seconds while Redis answers. `now`: monotonic clock, in ms. */
  async look (now = performance.now()): Promise<void> {
    const due = [...this.#changes].filter(([, at]) => now - at >= tellAgainAfter)
    await Promise.all(due.map(([key, at]) => this.#tell(key, at)))
  }

  /** Call when Redis did not know this node: other nodes may have inherited its leases. */
  renew (wasDead = false): Promise<void> {
    for (const [key, lease] of this.#held) {
      if (wasDead) lease.mayBeOver = true
      this.#changed(key, -Infinity)
    }
    return this.look()
  }

  /** Sends the current state of a lease. Never rejects: a failure goes to the health, and it is sent again with the next beat. */
  async #tell (key: string, at: number): Promise<void> {
    const lease = this.#held.get(key)
    try {
      await (lease === undefined ? this.#free(key) : this.#keep(lease))
      if (this.#changes.get(key) === at) this.#changes.delete(key)
    } catch {}
  }

  async #keep (lease: HeldLease): Promise<void> {
    if (await this.#hold(lease) || this.#held.get(lease.key) !== lease) return
    this.#held.delete(lease.key)
    lease.lose()
  }
}

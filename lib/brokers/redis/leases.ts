import type { Lease } from '../broker.js'
import { isReady, run, type RedisClient } from './connection.js'
import type { Keys } from './keys.js'
import { hold, release } from './scripts.js'

class HeldLease implements Lease {
  readonly key: string
  readonly data: string
  /** It came from a dead node while this one was asking for it. */
  isInherited = false
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

/** The leases that this node holds. */
export class Leases {
  readonly #connection: RedisClient
  readonly #keys: string[]
  readonly #node: string
  readonly #held = new Map<string, HeldLease>()
  /** Released, and Redis does not know it yet; each was held, so there are no more of them than there were leases. */
  readonly #released = new Set<string>()
  readonly #listeners = new Set<(lease: Lease) => void>()
  /** A renewal was not answered. */
  #isInDoubt = false

  constructor (connection: RedisClient, keys: Keys, node: string) {
    this.#connection = connection
    this.#keys = ['holders', 'leases'].map(name => keys.shared(name))
    this.#node = node
  }

  async hold (key: string, data: string): Promise<Lease | undefined> {
    if (this.#held.has(key)) return undefined
    const lease = new HeldLease(key, data, this.#release)
    this.#held.set(key, lease)
    this.#released.delete(key)
    try {
      if (await this.#hold(lease) || lease.isInherited) return lease
    } catch (error) {
      // It may be held for all we know.
      this.#release(lease)
      throw error
    }
    this.#held.delete(key)
    return undefined
  }

  async #hold ({ key, data }: Lease): Promise<boolean> {
    return await run(this.#connection, hold, this.#keys, [this.#node, key, data]) === 1
  }

  readonly #release = async ({ key }: HeldLease): Promise<void> => {
    if (!this.#held.delete(key)) return
    this.#released.add(key)
    await this.#tell(key)
  }

  /** Never rejects: what could not be told is told later. */
  async #tell (key: string): Promise<void> {
    if (!isReady(this.#connection)) return
    try {
      await run(this.#connection, release, this.#keys, [this.#node, key])
      this.#released.delete(key)
    } catch {}
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
      if (held !== undefined || this.#released.has(key)) continue
      const lease = new HeldLease(key, data, this.#release)
      this.#held.set(key, lease)
      for (const listener of this.#listeners) listener(lease)
    }
  }

  /** Called every few seconds while Redis answers. */
  look (): void {
    if (this.#isInDoubt) this.renew()
    for (const key of this.#released) this.#tell(key)
  }

  /** Redis did not know this node: the others may have taken over what it held. */
  async renew (): Promise<void> {
    this.#isInDoubt = false
    await Promise.all([...this.#held.values()].map(lease => this.#renew(lease)))
  }

  async #renew (lease: HeldLease): Promise<void> {
    try {
      if (await this.#hold(lease) || this.#held.get(lease.key) !== lease) return
      this.#held.delete(lease.key)
      lease.lose()
    } catch {
      this.#isInDoubt = true
    }
  }
}

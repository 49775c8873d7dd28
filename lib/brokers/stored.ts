/** Bytes with one lifetime. */
interface Level {
  bytes: number
  at: number
}

/** Minimum number of owners at which empty ones are removed. Later, they are removed each time the number has doubled. */
const leastLook = 1_000

/**
 * Stored bytes by owner, as leaky buckets: bytes leak evenly over their lifetime, at the rate that empties a full bucket in that time.
 * Pure: `now` is a parameter, in ms of any clock.
 */
export class StoredBytes {
  /** Maximum bytes of an owner. */
  readonly limit: number
  /** By owner, then by lifetime. */
  readonly #owners = new Map<string, Map<number, Level>>()
  #nextLook = leastLook

  constructor (limit: number) {
    this.limit = limit
  }

  /** Number of owners that may have stored bytes. */
  get size (): number {
    return this.#owners.size
  }

  heldBy (owner: string, now: number): number {
    let sum = 0
    for (const [lifetime, level] of this.#owners.get(owner) ?? []) sum += this.#leak(level, lifetime, now)
    return sum
  }

  /** Adds bytes with a lifetime in ms, if the owner may have them. Returns `false` if it may not. */
  take (owner: string, bytes: number, lifetime: number, now: number): boolean {
    if (this.heldBy(owner, now) + bytes > this.limit) return false
    this.add(owner, bytes, lifetime, now)
    return true
  }

  /** Adds bytes unconditionally: they are stored already, or, if negative, are not stored after all. */
  add (owner: string, bytes: number, lifetime: number, now: number): void {
    if (lifetime <= 0) return
    const levels = this.#owners.get(owner) ?? this.#begin(owner, now)
    const level = levels.get(lifetime) ?? { bytes: 0, at: now }
    levels.set(lifetime, level)
    level.bytes = Math.max(0, this.#leak(level, lifetime, now) + bytes)
  }

  #begin (owner: string, now: number): Map<number, Level> {
    if (this.#owners.size >= this.#nextLook) this.#forgetEmpty(now)
    const levels = new Map<number, Level>()
    this.#owners.set(owner, levels)
    return levels
  }

  #leak (level: Level, lifetime: number, now: number): number {
    level.bytes = Math.max(0, level.bytes - (now - level.at) * this.limit / lifetime)
    level.at = now
    return level.bytes
  }

  #forgetEmpty (now: number): void {
    for (const owner of this.#owners.keys()) if (this.heldBy(owner, now) === 0) this.#owners.delete(owner)
    this.#nextLook = Math.max(leastLook, 2 * this.#owners.size)
  }
}

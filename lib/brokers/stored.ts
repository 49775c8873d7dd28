/** Bytes with one lifetime. */
interface Level {
  bytes: number
  at: number
}

/** Owners are looked through for some that hold nothing whenever their number has doubled, and not below this number. */
const leastLook = 1_000

/**
 * What owners have stored, as leaky buckets: bytes leak evenly over the time for which they are kept, at the rate at which a full
 * bucket is empty after that time. Pure: `now` comes with the calls, in ms of any clock.
 */
export class StoredBytes {
  /** Bytes that an owner may have. */
  readonly limit: number
  /** By owner, then by lifetime. */
  readonly #owners = new Map<string, Map<number, Level>>()
  #nextLook = leastLook

  constructor (limit: number) {
    this.limit = limit
  }

  /** Number of owners that may hold something. */
  get size (): number {
    return this.#owners.size
  }

  heldBy (owner: string, now: number): number {
    let sum = 0
    for (const [lifetime, level] of this.#owners.get(owner) ?? []) sum += this.#leak(level, lifetime, now)
    return sum
  }

  /** Adds bytes that are kept for `lifetime` ms, if the owner may have them. Returns `false` when it may not. */
  take (owner: string, bytes: number, lifetime: number, now: number): boolean {
    if (this.heldBy(owner, now) + bytes > this.limit) return false
    this.add(owner, bytes, lifetime, now)
    return true
  }

  /** Adds bytes without asking: they are stored already, or, with a negative number, are not stored after all. */
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

/** Share of a holder. Only a `Budget` changes `held` and `level`. */
export interface Share {
  readonly holder: string
  held: number
  /** Index of the set of shares of similar size; -1: it holds nothing. */
  level: number
}

/** Amount up to which each level is one amount. Above, there are four levels per doubling. */
const exactLevels = 16
const levelsPerDoubling = 4

function levelOf (amount: number): number {
  if (amount <= exactLevels) return Math.ceil(amount)
  return exactLevels + Math.ceil((Math.log2(amount) - Math.log2(exactLevels)) * levelsPerDoubling)
}

/** Maximum amount of each level. */
const mostOf = Array.from({ length: levelOf(Number.MAX_SAFE_INTEGER) + 1 }, (_, level) =>
  level <= exactLevels ? level : exactLevels * 2 ** ((level - exactLevels) / levelsPerDoubling))

/**
 * Divides a limited resource: no holder may have more than is still free. A single holder gets half of it, two get a third each, and a
 * holder with nothing gets something while anything is free. Every operation takes constant time.
 */
export class Budget<S extends Share = Share> {
  /** Size of the resource, in the unit of the amounts. */
  readonly total: number
  #used = 0
  readonly #shares = new Map<string, S>()
  /** Shares by amount, to within a fifth. */
  readonly #levels: Array<Set<S>> = []
  readonly #begin: (holder: string) => S

  /** `begin` creates the share of a new holder. A caller that keeps more data with a share passes its own. */
  constructor (total: number, begin: (holder: string) => S = holder => ({ holder, held: 0, level: -1 }) as S) {
    this.total = total
    this.#begin = begin
  }

  /** Amount of all holders together. */
  get used (): number {
    return this.#used
  }

  /** Number of holders that have anything. */
  get size (): number {
    return this.#shares.size
  }

  heldBy (holder: string): number {
    return this.#shares.get(holder)?.held ?? 0
  }

  /** Whether a holder may have `amount` more. */
  allows (holder: string, amount = 1): boolean {
    return this.heldBy(holder) + amount <= this.total - this.#used
  }

  /** Adds an amount to a holder, if that is allowed. Returns `false` if it is not. */
  take (holder: string, amount = 1): boolean {
    if (!this.allows(holder, amount)) return false
    this.add(holder, amount)
    return true
  }

  /** Adds an amount to a holder unconditionally: it is used already, or, if negative, given back. */
  add (holder: string, amount: number): void {
    this.change(this.share(holder), amount)
  }

  /** Share of a holder; for a holder without one a new share, to be changed at once. */
  share (holder: string): S {
    const known = this.#shares.get(holder)
    if (known !== undefined) return known
    const share = this.#begin(holder)
    this.#shares.set(holder, share)
    return share
  }

  /** Adds an amount to a share, like `add`, without a lookup. */
  change (share: S, amount: number): void {
    share.held += amount
    this.#used += amount
    this.#sort(share)
  }

  /** Gives an amount of a holder back. */
  release (holder: string, amount = 1): void {
    this.add(holder, -amount)
  }

  /** Shares, the largest first, to within a fifth. They may change during the iteration. */
  * heaviest (): Generator<S> {
    for (let level = this.#levels.length - 1; level >= 0; level--) yield * this.#levels[level]
  }

  #sort (share: S): void {
    if (share.level > 0 && share.held > mostOf[share.level - 1] && share.held <= mostOf[share.level]) return
    const level = share.held > 0 ? levelOf(share.held) : -1
    if (level === -1) this.#shares.delete(share.holder)
    if (level === share.level) return
    this.#levels[share.level]?.delete(share)
    share.level = level
    if (level === -1) return
    while (this.#levels.length <= level) this.#levels.push(new Set())
    this.#levels[level].add(share)
  }
}

/** What one holder has; only a `Budget` changes `held` and `level`. */
export interface Share {
  readonly holder: string
  held: number
  /** Where it is among the others; -1: it holds nothing. */
  level: number
}

/** Up to this amount each level is one amount; above, four levels per doubling. */
const exactLevels = 16
const levelsPerDoubling = 4

function levelOf (amount: number): number {
  if (amount <= exactLevels) return Math.ceil(amount)
  return exactLevels + Math.ceil((Math.log2(amount) - Math.log2(exactLevels)) * levelsPerDoubling)
}

/** The most that is on each level. */
const mostOf = Array.from({ length: levelOf(Number.MAX_SAFE_INTEGER) + 1 }, (_, level) =>
  level <= exactLevels ? level : exactLevels * 2 ** ((level - exactLevels) / levelsPerDoubling))

/**
 * Shares what can run out: nobody may hold more than is still free. One holder alone gets half of it, two get a third each, and
 * whoever holds nothing gets something for as long as anything is free. Every operation takes constant time.
 */
export class Budget<S extends Share = Share> {
  /** What there is to share, in the unit of the amounts. */
  readonly total: number
  #used = 0
  readonly #shares = new Map<string, S>()
  /** Shares by how much they are, to within a fifth. */
  readonly #levels: Array<Set<S>> = []
  readonly #begin: (holder: string) => S

  /** `begin` creates the share of a new holder; a caller that keeps more with a share passes its own. */
  constructor (total: number, begin: (holder: string) => S = holder => ({ holder, held: 0, level: -1 }) as S) {
    this.total = total
    this.#begin = begin
  }

  /** What all holders have together. */
  get used (): number {
    return this.#used
  }

  /** Number of holders that hold anything. */
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

  /** Adds to what a holder has, if that is allowed. Returns `false` when it is not. */
  take (holder: string, amount = 1): boolean {
    if (!this.allows(holder, amount)) return false
    this.add(holder, amount)
    return true
  }

  /** Adds to what a holder has without asking: what is used already, or, with a negative amount, what is given back. */
  add (holder: string, amount: number): void {
    this.change(this.share(holder), amount)
  }

  /** The share of a holder; for somebody who holds nothing a new one, to be changed at once. */
  share (holder: string): S {
    const known = this.#shares.get(holder)
    if (known !== undefined) return known
    const share = this.#begin(holder)
    this.#shares.set(holder, share)
    return share
  }

  /** Adds to a share, as `add` does, without looking it up. */
  change (share: S, amount: number): void {
    share.held += amount
    this.#used += amount
    this.#sort(share)
  }

  /** Gives back what a holder has of it. */
  release (holder: string, amount = 1): void {
    this.add(holder, -amount)
  }

  /** The shares, the largest first, to within a fifth. They may change while they are visited. */
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

interface Share {
  readonly holder: string
  held: number
  level: number
  /** It stays on its level while it holds more than `above` and no more than `upTo`. */
  above: number
  upTo: number
}

/** Up to this amount each level is one amount; above, four levels per doubling. */
const exactLevels = 16
const levelsPerDoubling = 4

function levelOf (amount: number): number {
  if (amount <= exactLevels) return Math.ceil(amount)
  return exactLevels + Math.ceil((Math.log2(amount) - Math.log2(exactLevels)) * levelsPerDoubling)
}

/** The most that is on a level. */
function mostOf (level: number): number {
  return level <= exactLevels ? level : exactLevels * 2 ** ((level - exactLevels) / levelsPerDoubling)
}

/**
 * Shares what can run out: nobody may hold more than is still free. One holder alone gets half of it, two get a third each, and
 * whoever holds nothing gets something for as long as anything is free. Every operation takes constant time.
 */
export class Budget {
  /** What there is to share, in the unit of the amounts. */
  readonly total: number
  #used = 0
  readonly #shares = new Map<string, Share>()
  /** Shares by how much they are, to within a fifth. */
  readonly #levels: Array<Set<Share>> = []

  constructor (total: number) {
    this.total = total
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
    const share = this.#shares.get(holder) ?? this.#begin(holder)
    share.held += amount
    this.#used += amount
    this.#sort(share)
  }

  /** Gives back what a holder has of it. */
  release (holder: string, amount = 1): void {
    this.add(holder, -amount)
  }

  /** The holders, those that hold most first, to within a fifth. They may change while they are visited. */
  * heaviest (): Generator<string> {
    for (let level = this.#levels.length - 1; level >= 0; level--) {
      for (const { holder } of this.#levels[level] ?? []) yield holder
    }
  }

  #begin (holder: string): Share {
    const share = { holder, held: 0, level: -1, above: 0, upTo: 0 }
    this.#shares.set(holder, share)
    return share
  }

  #sort (share: Share): void {
    if (share.held > share.above && share.held <= share.upTo) return
    const level = share.held > 0 ? levelOf(share.held) : -1
    if (level === -1) this.#shares.delete(share.holder)
    if (level === share.level) return
    this.#levels[share.level]?.delete(share)
    share.level = level
    if (level === -1) return
    share.above = mostOf(level - 1)
    share.upTo = mostOf(level)
    while (this.#levels.length <= level) this.#levels.push(new Set())
    this.#levels[level].add(share)
  }
}

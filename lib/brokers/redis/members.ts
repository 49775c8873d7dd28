import type { Keys } from './keys.js'
import type { RedisLink } from './link.js'
import { beat, end } from './scripts.js'

/** How often a node says that it is alive, in milliseconds. */
const beatEvery = 3_000

/** A node that has not been heard of for so long is dead, in milliseconds. */
const deadAfter = 9_000

/** What Redis was told it is told again after so many milliseconds: should it fail over meanwhile, it may have forgotten. */
export const tellAgainAfter = 4_000

/** A node is given so many leases of dead ones with one beat. */
const inheritedAtOnce = 20

export interface MemberEvents {
  /** Redis does not know this node, or may not have known it: it is new, was taken for dead, or Redis has lost what it had. */
  onUnknown (wasDead: boolean): void
  /** Leases of dead nodes, this node's from now on. */
  onInherited (leases: Array<[key: string, data: string]>): void
  /** Whether somebody takes what is inherited. */
  canInherit (): boolean
  /** After each beat that Redis answered. */
  onBeat (): void
}

/** Which nodes there are. */
export class Members {
  readonly id: string
  readonly #link: RedisLink
  readonly #keys: string[]
  readonly #events: MemberEvents
  #alive: string[]
  #timer: NodeJS.Timeout | undefined
  #isBeating = false
  /** A beat was not answered: this node may hold what it does not know of. */
  #isInDoubt = false
  #answeredAt = -Infinity
  /** When it was last taken for dead, as Redis says. */
  #died = ''

  constructor (id: string, link: RedisLink, keys: Keys, events: MemberEvents) {
    this.id = id
    this.#link = link
    this.#keys = ['alive', 'holders', 'leases', 'dead'].map(name => keys.shared(name))
    this.#events = events
    this.#alive = [id]
  }

  start (): void {
    this.#timer ??= setInterval(() => this.beat(), beatEvery).unref()
    this.beat()
  }

  /** The nodes that are alive, this one included. */
  get alive (): readonly string[] {
    return this.#alive
  }

  async beat (): Promise<void> {
    if (this.#isBeating || !this.#link.isReady || this.#timer === undefined) return
    this.#isBeating = true
    try {
      const most = this.#events.canInherit() ? inheritedAtOnce : 0
      const answer = await this.#link.run(beat, this.#keys, [this.id, deadAfter, most, this.#isInDoubt ? 1 : 0])
      this.#isInDoubt = false
      if (this.#timer !== undefined) this.#onAnswer(answer as [number, string, number, ...string[]])
    } catch {
      // The health knows of the failure. The next beat tells as well, also of what this one inherited.
      this.#isInDoubt = true
    } finally {
      this.#isBeating = false
    }
  }

  #onAnswer ([isNew, died, count, ...rest]: [number, string, number, ...string[]]): void {
    this.#alive = rest.slice(0, count)
    const leases: Array<[string, string]> = []
    for (let at = count; at < rest.length; at += 2) leases.push([rest[at], rest[at + 1]])
    // What was sent before a cut may arrive after it, and hide that this node was forgotten meanwhile.
    const wasSilent = performance.now() - this.#answeredAt > deadAfter / 2
    this.#answeredAt = performance.now()
    const wasDead = died !== '' && died !== this.#died
    this.#died = died
    if (isNew === 1 || wasSilent || wasDead) this.#events.onUnknown(wasDead)
    if (leases.length > 0) this.#events.onInherited(leases)
    this.#events.onBeat()
  }

  /** The others are told at once. Never rejects. */
  async stop (): Promise<void> {
    clearInterval(this.#timer)
    this.#timer = undefined
    if (!this.#link.isReady) return
    // The others notice it within 15 s when this fails.
    await this.#link.run(end, this.#keys.slice(0, 1), [this.id]).catch(() => {})
  }
}

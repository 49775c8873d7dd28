import type { Keys } from './keys.js'
import type { RedisLink } from './link.js'
import { beat, end, pulse } from './scripts.js'

/** How often a node says that it is alive, in milliseconds. */
const beatEvery = 3_000

/** A node that has not been heard of for so long is dead, in milliseconds. */
const deadAfter = 9_000

/** How often a node shows between its beats that it is there, in ms. */
const pulseEvery = 400

/** A node without a pulse for this time, in ms, is silent: its connections no longer count against a limit. */
const silentAfter = 1_200

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

/** Somebody waits until nodes have shown that they are there. */
interface Question {
  readonly nodes: readonly string[]
  /** When it was asked, or shortly after, on Redis' clock. */
  since: number | undefined
  readonly answer: (isSilent: boolean) => void
}

/** Which nodes there are. */
export class Members {
  readonly id: string
  readonly #link: RedisLink
  readonly #keys: string[]
  readonly #events: MemberEvents
  #alive: string[]
  #silent: string[] = []
  #timer: NodeJS.Timeout | undefined
  #pulser: NodeJS.Timeout | undefined
  readonly #questions = new Set<Question>()
  #isBeating = false
  #isPulsing = false
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
    this.#pulser ??= setInterval(() => this.pulse(), pulseEvery).unref()
    this.beat()
  }

  /** The nodes that are alive, this one included. */
  get alive (): readonly string[] {
    return this.#alive
  }

  /** Nodes that were not heard of for a few beats. They may come back. */
  get silent (): readonly string[] {
    return this.#silent
  }

  /** Resolves `true` as soon as one of the nodes is silent, `false` once all others have been heard of since, or after `ms`. */
  isOneSilent (nodes: readonly string[], ms: number): Promise<boolean> {
    const others = [...new Set(nodes)].filter(node => node !== this.id)
    if (others.length === 0 || this.#pulser === undefined) return Promise.resolve(false)
    return new Promise(resolve => {
      const question: Question = {
        nodes: others,
        since: undefined,
        answer: isSilent => {
          clearTimeout(late)
          this.#questions.delete(question)
          resolve(isSilent)
        }
      }
      const late = setTimeout(question.answer, ms, false)
      this.#questions.add(question)
    })
  }

  /** Shows that this node is there, and sees which others are. Never rejects. */
  async pulse (): Promise<void> {
    if (this.#isPulsing || !this.#link.isReady || this.#pulser === undefined) return
    this.#isPulsing = true
    try {
      const [now, ...heard] = await this.#link.run(pulse, this.#keys.slice(0, 1), [this.id, deadAfter]) as [number, ...string[]]
      this.#onPulse(now, heard)
    } catch {
      // The health knows of the failure.
    }
    this.#isPulsing = false
  }

  #onPulse (now: number, heard: string[]): void {
    const heardAt = new Map<string, number>()
    for (let at = 0; at < heard.length; at += 2) heardAt.set(heard[at], Number(heard[at + 1]))
    this.#silent = [...heardAt].filter(([, time]) => now - time > silentAfter).map(([node]) => node)
    for (const question of this.#questions) {
      question.since ??= now
      const { nodes, since, answer } = question
      if (nodes.some(node => this.#silent.includes(node))) answer(true)
      else if (nodes.every(node => heardAt.get(node)! > since)) answer(false)
    }
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
    clearInterval(this.#pulser)
    this.#timer = undefined
    this.#pulser = undefined
    for (const { answer } of this.#questions) answer(false)
    if (!this.#link.isReady) return
    // The others notice it within 15 s when this fails.
    await this.#link.run(end, this.#keys.slice(0, 1), [this.id]).catch(() => {})
  }
}

import type { Keys } from '../keys.js'
import type { RedisLink } from '../link/link.js'
import { beat, type BeatReply } from '../commands/beat.js'
import { end } from '../commands/end.js'
import { pulse, type PulseReply } from '../commands/pulse.js'

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
  /** Of beats and pulses; none before the start and after the stop. */
  #timers: NodeJS.Timeout[] = []
  readonly #questions = new Set<Question>()
  /** What Redis was asked for and has not answered yet. */
  readonly #underWay = new Set<'beat' | 'pulse'>()
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
    if (!this.#isStarted) {
      this.#timers = [setInterval(() => this.beat(), beatEvery).unref(), setInterval(() => this.pulse(), pulseEvery).unref()]
    }
    this.beat()
  }

  get #isStarted (): boolean {
    return this.#timers.length > 0
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
    if (others.length === 0 || !this.#isStarted) return Promise.resolve(false)
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
    if (this.#underWay.has('pulse') || !this.#link.isReady || !this.#isStarted) return
    this.#underWay.add('pulse')
    try {
      this.#onPulse(await pulse(this.#link, this.#keys[0], this.id, deadAfter))
    } catch {
      // The health knows of the failure.
    }
    this.#underWay.delete('pulse')
  }

  #onPulse ({ now, heardAt }: PulseReply): void {
    this.#silent = [...heardAt].filter(([, time]) => now - time > silentAfter).map(([node]) => node)
    for (const question of this.#questions) {
      question.since ??= now
      const { nodes, since, answer } = question
      if (nodes.some(node => this.#silent.includes(node))) answer(true)
      else if (nodes.every(node => heardAt.get(node)! > since)) answer(false)
    }
  }

  async beat (): Promise<void> {
    if (this.#underWay.has('beat') || !this.#link.isReady || !this.#isStarted) return
    this.#underWay.add('beat')
    try {
      const leases = this.#events.canInherit() ? inheritedAtOnce : 0
      const reply = await beat(this.#link, { keys: this.#keys, node: this.id, deadAfter, leases, isInDoubt: this.#isInDoubt })
      this.#isInDoubt = false
      if (this.#isStarted) this.#onAnswer(reply)
    } catch {
      // The health knows of the failure. The next beat tells as well, also of what this one inherited.
      this.#isInDoubt = true
    } finally {
      this.#underWay.delete('beat')
    }
  }

  #onAnswer ({ isNew, died, alive, leases }: BeatReply): void {
    this.#alive = alive
    // What was sent before a cut may arrive after it, and hide that this node was forgotten meanwhile.
    const wasSilent = performance.now() - this.#answeredAt > deadAfter / 2
    this.#answeredAt = performance.now()
    const wasDead = died !== '' && died !== this.#died
    this.#died = died
    if (isNew || wasSilent || wasDead) this.#events.onUnknown(wasDead)
    if (leases.length > 0) this.#events.onInherited(leases)
    this.#events.onBeat()
  }

  /** The others are told at once. Never rejects. */
  async stop (): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer)
    this.#timers = []
    for (const { answer } of this.#questions) answer(false)
    if (!this.#link.isReady) return
    // The others notice it within 15 s when this fails.
    await end(this.#link, this.#keys[0], this.id).catch(() => {})
  }
}

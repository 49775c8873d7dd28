import { Contact } from './contact.js'
import type { Keys } from '../keys.js'
import type { RedisLink } from '../link/link.js'
import { beat, type BeatReply } from '../commands/beat.js'
import { end } from '../commands/end.js'
import { pulse, type PulseReply } from '../commands/pulse.js'

/** Interval between the beats of a node, which show that it is alive, in ms. */
const beatEvery = 3_000

/** Time without a beat or pulse after which a node is dead, in ms. */
const deadAfter = 9_000

/** Interval between the pulses of a node, which it sends between its beats, in ms. */
const pulseEvery = 400

/** Time without a pulse after which a node is silent, in ms: its connections no longer count against a limit. */
const silentAfter = 1_200

/** Time, in ms, after which a change is sent to Redis again, because a failover may have lost it. */
export const tellAgainAfter = 4_000

/** Maximum number of leases of dead nodes that a node inherits with one beat. */
const inheritedAtOnce = 20

export interface MemberEvents {
  /** Redis did not know this node, or may not have: the node is new or was regarded as dead, or Redis has lost its data. */
  onUnknown (wasDead: boolean): void
  /** Leases of dead nodes, which this node holds from now on. */
  onInherited (leases: Array<[key: string, data: string]>): void
  /** Whether there is a listener for inherited leases. */
  canInherit (): boolean
  /** Called after each answered beat. */
  onBeat (): void
  /** Called when Redis has answered neither beats nor pulses for a while. */
  onSilent (): void
}

/** A caller that waits until nodes have shown that they are alive. */
interface Question {
  readonly nodes: readonly string[]
  /** When it was asked, or shortly after, on Redis's clock, in ms. */
  since: number | undefined
  readonly answer: (isSilent: boolean) => void
}

/** The nodes of the app, and which of them are alive. */
export class Members {
  readonly id: string
  readonly #link: RedisLink
  readonly #keys: string[]
  readonly #events: MemberEvents
  #alive: string[]
  #silent: string[] = []
  /** Timers of beats and pulses; none before the start and after the stop. */
  #timers: NodeJS.Timeout[] = []
  readonly #questions = new Set<Question>()
  /** Commands without an answer. */
  readonly #underWay = new Set<'beat' | 'pulse'>()
  /** Whether the last beat was not answered: this node may hold leases that it does not know. */
  #isInDoubt = false
  readonly #contact = new Contact()
  /** When this node was last declared dead, as reported by Redis. */
  #died = ''

  constructor (id: string, link: RedisLink, keys: Keys, events: MemberEvents) {
    this.id = id
    this.#link = link
    this.#keys = ['alive', 'holders', 'leases', 'dead'].map(name => keys.shared(name))
    this.#events = events
    this.#alive = [id]
  }

  start (): void {
    this.#timers = [setInterval(() => this.beat(), beatEvery).unref(), setInterval(() => this.pulse(), pulseEvery).unref()]
    this.beat()
  }

  get #isStarted (): boolean {
    return this.#timers.length > 0
  }

  /** Nodes that are alive, including this one. */
  get alive (): readonly string[] {
    return this.#alive
  }

  /** Nodes that are alive; `undefined` while Redis does not answer. */
  get known (): readonly string[] | undefined {
    return this.#contact.isKnown ? this.#alive : undefined
  }

  /** Nodes without a recent pulse. They may return. */
  get silent (): readonly string[] {
    return this.#silent
  }

  /** Resolves with `true` when one of the nodes is silent, and with `false` when all others have shown a pulse since, or after `ms`. */
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

  /** Sends a pulse of this node, and receives those of the others. Never rejects. */
  async pulse (): Promise<void> {
    if (this.#contact.check(performance.now())) this.#events.onSilent()
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
    this.#contact.onPulse(performance.now())
    // Redis answers again.
    if (!this.#contact.isKnown) this.beat()
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
      // The health knows of the failure. The next beat also returns leases that this one may have inherited.
      this.#isInDoubt = true
    } finally {
      this.#underWay.delete('beat')
    }
  }

  #onAnswer ({ isNew, died, alive, leases }: BeatReply): void {
    this.#alive = alive
    // A beat that was sent before an interruption may arrive after it, and hide that this node was forgotten meanwhile.
    const wasSilent = this.#contact.onBeat(performance.now()) > deadAfter / 2
    const wasDead = died !== '' && died !== this.#died
    this.#died = died
    if (isNew || wasSilent || wasDead) this.#events.onUnknown(wasDead)
    this.#events.onInherited(leases)
    this.#events.onBeat()
  }

  /** Stops, and declares this node dead, so that the others notice at once. Never rejects. */
  async stop (): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer)
    this.#timers = []
    for (const { answer } of this.#questions) answer(false)
    if (!this.#link.isReady) return
    // If this fails, the others notice within 15 s.
    await end(this.#link, this.#keys[0], this.id).catch(() => {})
  }
}

import type { ChannelKind } from '../kinds.js'
import type { Applicant, Decision, Decisions } from './decisions.js'

interface Batch {
  /** Channels for which `ask` will be called. */
  expected: number
  readonly asked: Array<{ channel: string, resolve: (decision: Decision) => void }>
}

/** One channel that is to be decided about. Call either `ask` or `cancel`, once. */
export interface Case {
  ask (): Promise<Decision>
  cancel (): void
}

const first = ([decision]: Decision[]) => decision

/** Collects the channels of one connection and kind, and asks for them together, if the kind decides about several at once. */
export class JointDecisions {
  readonly #decisions: Decisions
  readonly #batches = new Map<Applicant, Map<ChannelKind, Batch>>()

  constructor (decisions: Decisions) {
    this.#decisions = decisions
  }

  /** Announces a channel of a kind with `access`. The channels that are announced before the first `ask` are decided together. */
  announce (kind: ChannelKind, applicant: Applicant, channel: string): Case {
    if (kind.access!.isJoint !== true) {
      return { ask: () => this.#decisions.of(kind.access!, applicant, [channel]).then(first), cancel () {} }
    }
    const batch = this.#batchOf(kind, applicant)
    batch.expected++
    return {
      ask: () => new Promise(resolve => {
        batch.asked.push({ channel, resolve })
        this.#count(batch, kind, applicant)
      }),
      cancel: () => this.#count(batch, kind, applicant)
    }
  }

  #batchOf (kind: ChannelKind, applicant: Applicant): Batch {
    const ofApplicant = this.#batches.get(applicant) ?? new Map<ChannelKind, Batch>()
    const batch = ofApplicant.get(kind) ?? { expected: 0, asked: [] }
    this.#batches.set(applicant, ofApplicant.set(kind, batch))
    return batch
  }

  #count (batch: Batch, kind: ChannelKind, applicant: Applicant): void {
    batch.expected--
    if (batch.expected > 0) return
    const ofApplicant = this.#batches.get(applicant)!
    ofApplicant.delete(kind)
    if (ofApplicant.size === 0) this.#batches.delete(applicant)
    // Never rejects.
    if (batch.asked.length > 0) this.#ask(batch, kind, applicant)
  }

  async #ask ({ asked }: Batch, kind: ChannelKind, applicant: Applicant): Promise<void> {
    const decisions = await this.#decisions.of(kind.access!, applicant, asked.map(({ channel }) => channel))
    for (const [at, { resolve }] of asked.entries()) resolve(decisions[at])
  }
}

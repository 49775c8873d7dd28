import type { SubscriptionAccess } from '../kinds.js'
import { caught } from '../reports/caught.js'
import type { Refusals, RefusedClient } from '../reports/refusals.js'
import { within } from '../../time/within.js'
import type { Timers } from '../../time/timers.js'
import type { Identity } from '../hooks.js'
import { FairQueue } from './fair-queue.js'

/** Whether a user may subscribe to a channel, listed in its presence or `hidden`; `unavailable` if that is not known. */
export type Decision = 'allowed' | 'hidden' | 'forbidden' | 'unavailable'

export function isAdmitting (decision: Decision): decision is 'allowed' | 'hidden' {
  return decision === 'allowed' || decision === 'hidden'
}

export interface DecisionParts {
  timers: Timers
  refusals: Refusals
  /** Maximum time of a decision of the app, in ms. */
  timeout: number
}

/** Connection that wants to subscribe. */
export interface Applicant {
  readonly identity: Identity
  readonly client: RefusedClient
  /** Whether it has ended. Then nothing is asked. */
  readonly isEnding: boolean
  noteAddress (): void
}

/** Maximum number of decisions of the app at once. */
const atOnce = 100

/** Calls the access rules of the channel kinds, a limited number at once and fairly per user. */
export class Decisions {
  readonly #parts: DecisionParts
  readonly #queue = new FairQueue(atOnce)

  constructor (parts: DecisionParts) {
    this.#parts = parts
  }

  /** Decides about channels of one kind, in their order. Never rejects. */
  async of (access: SubscriptionAccess, applicant: Applicant, channels: readonly string[]): Promise<Decision[]> {
    const { timeout, timers, refusals } = this.#parts
    const { identity } = applicant
    applicant.noteAddress()
    try {
      const ask = async () => applicant.isEnding ? undefined : within(timeout, access.decide(identity, channels), timers)
      const verdicts = await this.#queue.run(identity.userId, ask)
      if (verdicts === undefined) return channels.map(() => 'unavailable')
      return channels.map((channel, at) => {
        if (verdicts[at] === 'hidden') return 'hidden'
        if (verdicts[at]) return 'allowed'
        refusals.add('channel_forbidden', applicant.client, channel)
        return 'forbidden'
      })
    } catch (thrown) {
      refusals.add('channel_unavailable', applicant.client, channels[0], () => caught(thrown))
      return channels.map(() => 'unavailable')
    }
  }
}

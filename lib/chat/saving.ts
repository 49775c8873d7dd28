import type { ChatAddress } from './address.js'
import type { ChatOptions, SavedMessage } from './hooks.js'
import type { Timers } from '../time/timers.js'
import { timestamp } from '../server/messages/timestamp.js'
import { within } from '../time/within.js'

export interface SavingParts {
  /** The app's hook. */
  save: ChatOptions['save']
  target: ChatAddress
  timers: Timers
  /** Milliseconds that saving a message may take. */
  time: number
  /** Nothing waits any more. */
  onIdle: () => void
}

/** Finished messages that may wait to be saved; one more is not saved. */
const maxWaiting = 1_000

/** Has the app store a chat's finished messages: in order, one at a time. */
export class Saving {
  readonly #parts: SavingParts
  #last = Promise.resolve()
  readonly #waiting = new Set<SavedMessage>()

  constructor (parts: SavingParts) {
    this.#parts = parts
  }

  get isIdle (): boolean {
    return this.#waiting.size === 0
  }

  /** The ids of the messages that are not saved yet. */
  get waiting (): string[] {
    return [...this.#waiting].map(message => message.message_id)
  }

  /** Rejects with what the app's hook throws, and when that takes too long. */
  async add (message: Omit<SavedMessage, 'timestamp'>): Promise<void> {
    const { save, target, timers, time, onIdle } = this.#parts
    if (save === undefined) return
    if (this.#waiting.size >= maxWaiting) throw new Error(`${maxWaiting} messages wait to be saved`)
    const complete = { ...message, timestamp: timestamp() } as SavedMessage
    this.#waiting.add(complete)
    const work = async () => { await save(complete, target) }
    const saved = this.#last.then(() => within(time, work(), timers))
    this.#last = saved.catch(() => {}).then(() => {
      this.#waiting.delete(complete)
      if (this.isIdle) onIdle()
    })
    await saved
  }
}

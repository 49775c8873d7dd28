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
  /** Maximum time of one call of `save`, in ms. */
  time: number
  /** Called when the queue is empty. */
  onIdle: () => void
}

/** Maximum number of messages that wait to be saved. Further messages are rejected. */
const maxWaiting = 1_000

/** Passes a chat's finished messages to the app's `chat.save`, in order and one at a time. */
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

  /** Ids of the messages that are not saved yet. */
  get waiting (): string[] {
    return [...this.#waiting].map(message => message.message_id)
  }

  /** Rejects with the error of the app's hook, when the hook takes too long, and when the queue is full. */
  async add (message: Omit<SavedMessage, 'timestamp'>): Promise<void> {
    const { save, target, timers, time, onIdle } = this.#parts
    if (save === undefined) return
    if (this.#waiting.size >= maxWaiting) throw new Error(`${maxWaiting} messages of this chat are already waiting for chat.save`)
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

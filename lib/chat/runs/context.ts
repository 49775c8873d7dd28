import type { FastifyBaseLogger } from 'fastify'
import type { Message, Messages } from '../../protocol/envelope.js'
import type { ChatAddress } from '../address.js'
import type { Run } from '../hooks.js'
import type { Receipt } from '../../server/messages/publisher.js'
import type { Timers } from '../../time/timers.js'

/** Interface of a chat to its runs. */
export interface RunContext {
  readonly target: ChatAddress
  readonly timers: Timers
  readonly log: FastifyBaseLogger
  readonly limits: {
    /** Maximum bytes of a message. */
    message: number
    /** Maximum bytes that a run publishes. */
    run: number
    /** Maximum duration of a run, in ms. */
    runTime: number
  }
  publish (message: Message): Receipt | Promise<Receipt>
  /** Stores messages in order and retries failures, while `isWanted` returns `true`. Resolves, or returns at once, when that is done. */
  deliver (message: Message, isWanted?: () => boolean): void | Promise<void>
  /** Whether a message is published at all. */
  isVisible (message: Message): boolean
  /** Passes a finished message to the app's `chat.save`. */
  save (message: Messages['chat_message'] & { message_id: string }): void
  /** Calls `action` after this turn of the event loop. */
  soon (action: () => void): void
  onOver (run: Run): void
}

import type { FastifyBaseLogger } from 'fastify'
import type { Message, Messages } from '../../protocol/envelope.js'
import type { ChatAddress } from '../address.js'
import type { Run } from '../hooks.js'
import type { Receipt } from '../../server/messages/publisher.js'
import type { Timers } from '../../time/timers.js'

/** What a run needs of the chat that it is in. */
export interface RunContext {
  readonly target: ChatAddress
  readonly timers: Timers
  readonly log: FastifyBaseLogger
  readonly limits: {
    /** Bytes of a message. */
    message: number
    /** Bytes of all that a run publishes. */
    run: number
    /** Milliseconds that a run may take. */
    runTime: number
  }
  publish (message: Message): Receipt | Promise<Receipt>
  /** Tried again until it is stored, in order, for as long as it is wanted. Resolves, or returns at once, then. */
  deliver (message: Message, isWanted?: () => boolean): void | Promise<void>
  /** Whether users see it at all. */
  isVisible (message: Message): boolean
  /** Has a finished message stored by the app. */
  save (message: Messages['chat_message'] & { message_id: string }): void
  /** Calls `action` when this turn of the event loop is over. */
  soon (action: () => void): void
  onOver (run: Run): void
}

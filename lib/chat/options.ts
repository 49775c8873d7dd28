import { Type, type Static } from '@sinclair/typebox'
import { count, hook, ms, section, type Contradiction } from '../options/define.js'
import type { MessageHandlers } from '../server/hooks.js'
import { presenceSchema } from '../presence/options.js'
import type { ChatOptions } from './hooks.js'

/** The option `chat`. */
export const chatSection = section({
  onMessage: hook<NonNullable<ChatOptions['onMessage']>>('Called for each chat message of a user. The call is a run'),
  concurrency: Type.Union([Type.Literal('queue'), Type.Literal('replace')], {
    default: 'queue',
    description: 'What a new run does while another run of its chat is active: it waits (`queue`), or ends the other run (`replace`)'
  }),
  visible: hook<NonNullable<ChatOptions['visible']>>('Decides which publications of chats users can see. Default: all of them'),
  save: hook<NonNullable<ChatOptions['save']>>('Called with each finished message of a chat'),
  loadHistory: hook<NonNullable<ChatOptions['loadHistory']>>('Loads messages that are older than the log'),
  presence: Type.Optional(Type.Unsafe<NonNullable<ChatOptions['presence']>>({
    ...presenceSchema,
    description: 'Shows clients who else is connected to a chat: `true`, or `{ data, max }` as for a channel kind. Default: no presence'
  }))
})

/** The chats' part of `limits`. */
export const chatLimits = {
  run: count(4 * 1024 * 1024, 'Maximum bytes that a run publishes. Beyond it the run ends with `RT_ERR_RUN_TOO_LONG`'),
  runs: count(16, 'Maximum runs of a chat that wait for their turn. One more gets `chat_busy`'),
  liveRuns: count(4_096, 'Maximum runs of all chats, waiting or active. A run counts once for each 4 KiB of its message, begun or full. ' +
    'No user has more than are still free. One more gets `chat_busy`')
}

/** The chats' part of `timeouts`. */
export const chatTimeouts = {
  run: ms(600_000, 'Maximum time of a run, in ms. Then it ends as `interrupted`')
}

interface ContradictingOptions {
  chat: Static<typeof chatSection>
  onMessage: MessageHandlers
}

/** Contradictions between options that are valid on their own. */
export function chatContradictions ({ chat, onMessage }: ContradictingOptions): Contradiction[] {
  return [
    [chat.onMessage !== undefined && 'chat_message' in onMessage, "'chat.onMessage' and 'onMessage.chat_message' are both for users' chat messages. Remove one of them"]
  ]
}

import { Type, type Static } from '@sinclair/typebox'
import { count, hook, ms, section, type Contradiction } from '../options/define.js'
import type { MessageHandlers } from '../server/hooks.js'
import type { ChatOptions } from './hooks.js'

/** The option `chat`. */
export const chatSection = section({
  onMessage: hook<NonNullable<ChatOptions['onMessage']>>("called for each of a user's chat messages: the call is a run"),
  concurrency: Type.Union([Type.Literal('queue'), Type.Literal('replace')], { default: 'queue', description: 'a run while another is going: waits for it, or replaces it' }),
  visible: hook<NonNullable<ChatOptions['visible']>>('which publications of chats are for users; default: all'),
  save: hook<NonNullable<ChatOptions['save']>>('called with each finished message of a chat'),
  loadHistory: hook<NonNullable<ChatOptions['loadHistory']>>('brings messages that are older than the log')
})

/** The chats' part of `limits`. */
export const chatLimits = {
  run: count(4 * 1024 * 1024, 'bytes that a run of a chat publishes; RT_ERR_RUN_TOO_LONG'),
  runs: count(16, 'runs of a chat that wait for their turn; `chat_busy`'),
  liveRuns: count(4_096, 'runs of all chats that wait or go, one more for each 4 KiB of their messages; no user has more than are still free. `chat_busy`')
}

/** The chats' part of `timeouts`. */
export const chatTimeouts = {
  run: ms(600_000, 'a run of a chat, ms; `interrupted`')
}

interface ContradictingOptions {
  chat: Static<typeof chatSection>
  onMessage: MessageHandlers
}

/** What is wrong with options that are valid each. */
export function chatContradictions ({ chat, onMessage }: ContradictingOptions): Contradiction[] {
  return [
    [chat.onMessage !== undefined && 'chat_message' in onMessage, "'chat.onMessage' and 'onMessage.chat_message' are both for users' chat messages. Remove one of them"]
  ]
}

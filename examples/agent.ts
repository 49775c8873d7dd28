import type { Run, SavedMessage, UserMessage } from 'fastify-realtime'
import { modelAgent } from './model-agent.js'
import { scriptedAgent } from './scripted-agent.js'

/** Agent that answers in the chats of the demo. */
export interface Agent {
  /** Name that the page shows. */
  name: string
  isScripted: boolean
  /** Answers a message. `history`: earlier messages, oldest first. */
  answer (run: Run, message: UserMessage, history: readonly SavedMessage[]): Promise<unknown>
}

/**
 * Returns an agent with the model that the environment names, behind an API of OpenAI's chat completions, or else a script. Throws a
 * TypeError when OPENAI_BASE_URL is not a URL.
 */
export function agentFrom ({ OPENAI_BASE_URL: baseUrl, OPENAI_API_KEY: apiKey, OPENAI_MODEL: model }: NodeJS.ProcessEnv): Agent {
  if (!baseUrl && !apiKey) return scriptedAgent()
  if (baseUrl && !URL.canParse(baseUrl)) throw new TypeError(`OPENAI_BASE_URL is not an address: '${baseUrl}'. Say something like http://localhost:11434/v1`)
  return modelAgent({ baseUrl: baseUrl || 'https://api.openai.com/v1', apiKey: apiKey || undefined, model: model || 'gpt-4o-mini' })
}

/**
 * Returns the messages before a message, without users' messages that wait behind it for their turn. A message that repeats an earlier
 * one is not saved again: it is answered as if nothing had followed that one.
 */
export function historyBefore ({ id, data }: UserMessage, messages: readonly SavedMessage[]): SavedMessage[] {
  const own = messages.findIndex(message => message.message_id === id)
  const repeated = messages.findIndex(message => message.message_id === data.repeats)
  if (own < 0 && repeated >= 0) return messages.slice(0, repeated)
  return messages.filter(({ role }, index) => index < own || (index > own && role !== 'user'))
}

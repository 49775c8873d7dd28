import type { Run, SavedMessage, UserMessage } from 'fastify-realtime'
import { modelAgent } from './model-agent.js'
import { scriptedAgent } from './scripted-agent.js'

/** Who answers in the demo's chats. */
export interface Agent {
  /** As the page shows it. */
  name: string
  isScripted: boolean
  /** `history`: what was said before, oldest first. */
  answer (run: Run, message: UserMessage, history: readonly SavedMessage[]): Promise<unknown>
}

/** A model, where the environment names one that speaks OpenAI's chat completions; or else a script. Throws a TypeError. */
export function agentFrom ({ OPENAI_BASE_URL: baseUrl, OPENAI_API_KEY: apiKey, OPENAI_MODEL: model }: NodeJS.ProcessEnv): Agent {
  if (!baseUrl && !apiKey) return scriptedAgent()
  if (baseUrl && !URL.canParse(baseUrl)) throw new TypeError(`OPENAI_BASE_URL is not an address: '${baseUrl}'. Say something like http://localhost:11434/v1`)
  return modelAgent({ baseUrl: baseUrl || 'https://api.openai.com/v1', apiKey: apiKey || undefined, model: model || 'gpt-4o-mini' })
}

/** What was said before a message: not those that wait behind it for their turn. */
export function historyBefore (message: UserMessage, messages: readonly SavedMessage[]): SavedMessage[] {
  const own = messages.findIndex(({ message_id: id }) => id === message.id)
  return messages.filter(({ role }, index) => index < own || (index > own && role !== 'user'))
}

import { Conversation } from '../../../lib/client/chat/conversation.js'
import type { ChatMessage } from '../../../lib/client/chat/items.js'
import type { Envelope } from '../../../lib/client/index.js'

let offset = 0
export const at = (second: number) => new Date(1_800_000_000_000 + second * 1000).toISOString()
export const publication = (type: string, data: object, second = 0): Envelope => ({ type, data, id: `c.e.${++offset}`, timestamp: at(second) })

export type Publication = [type: string, data: object, second?: number]

/** Returns a conversation of some publications. */
export function conversation (...publications: Publication[]): Conversation {
  const one = new Conversation(async () => {})
  for (const each of publications) one.apply(publication(...each))
  return one
}

export const messages = (of: Conversation) => of.items.filter((item): item is ChatMessage => item.kind === 'message')
export const texts = (of: Conversation) => messages(of).map(({ text, status }) => `${text}: ${status}`)
export const ids = (of: Conversation) => of.items.map(({ id }) => id)
export const pending = (id: string, text = id) => ({ id, text, userId: 'ada', createdAt: at(0) })
export const delta = (id: string, at: number, text: string): [string, object] => ['chat_delta', { message_id: id, run_id: 'r', agent: 'a', at, text }]

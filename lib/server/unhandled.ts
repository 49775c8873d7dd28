import type { Target } from './channels.js'

/** Messages of clients that the plugin handles itself, by the option without which it does not. */
const optionsOf = new Map([
  ['chat_message', 'chat.onMessage'],
  ['chat_history', 'chat.loadHistory'],
  ['chat_cancel', undefined],
  ['input_response', undefined]
])

/** Why a message of a client has no handler, and what gives it one. */
export function unhandled (type: string, { kind }: Target): string {
  if (type === 'renew') return "this server renews no credentials: it has no option 'renew'. Connect anew with the new one"
  if (!optionsOf.has(type)) return `no handler for '${type}'. It needs one in the option 'onMessage' of the server`
  if (kind !== 'chat') return `'${type}' is for chats only. Connect to /:workflow/:app_id/:chat_id/:user_id`
  return `no handler for '${type}'. The server needs the option '${optionsOf.get(type)}'`
}

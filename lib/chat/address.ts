import { errors } from '../errors.js'
import { isId } from '../protocol/ids.js'
import { shown } from '../server/ids.js'

/** One chat of one user. */
export interface ChatAddress {
  readonly workflow: string
  readonly appId: string
  readonly chatId: string
  readonly userId: string
}

export interface ChatTarget extends ChatAddress {
  readonly kind: 'chat'
}

declare module '../server/target.js' {
  interface Targets { chat: ChatTarget }
}

/** Name that no workflow can have: `/ws/notifications/…` is the route for notifications. */
export const reservedWorkflow = 'notifications'

/**
 * Returns the name of a chat's channel. It contains the user id, so that a guessed chat id only opens an empty chat of the user
 * who guessed. Ids contain no slash, so the name can be parsed. Throws RT_ERR_INVALID_ID, which names the field.
 */
export function chatChannel (address: ChatAddress): string {
  const { workflow, appId, chatId, userId } = Object(address) as ChatAddress
  if (workflow === reservedWorkflow) throw new errors.INVALID_ID("The workflow 'notifications'")
  if (isId(workflow) && isId(appId) && isId(chatId) && isId(userId)) return `chat:${workflow}/${appId}/${chatId}/${userId}`
  throw new errors.INVALID_ID(wrongPartsOf(address))
}

/** Parses a name that `chatChannel` returned. */
export function chatAddressOf (channel: string): ChatAddress {
  const [workflow, appId, chatId, userId] = channel.slice(channel.indexOf(':') + 1).split('/')
  return { workflow, appId, chatId, userId }
}

const addressFields = ['workflow', 'appId', 'chatId', 'userId'] as const

/** Describes the fields of a chat's address that are not ids, and how to spell fields such as `chat_id`. */
function wrongPartsOf (address: unknown): string {
  if (typeof address !== 'object' || address === null) return `The address of a chat is { ${addressFields.join(', ')} }, and ${shown(address)}`
  const given = address as Record<string, unknown>
  const missing = addressFields.filter(field => given[field] === undefined)
  if (missing.length === 0) {
    const wrong = addressFields.find(field => !isId(given[field]))!
    return `${shown(given[wrong])} as '${wrong}' of a chat`
  }
  const misspelt = Object.keys(given).filter(name => !isField(name) && missing.some(field => plain(name) === plain(field)))
  const meant = missing.filter(field => misspelt.some(name => plain(name) === plain(field)))
  const cure = misspelt.length === 0 ? '' : ` (there is ${listed(misspelt)}: write ${listed(meant)})`
  return `undefined as ${listed(missing)} of a chat${cure}`
}

/** Returns the same name for `app_id`, `AppId` and `appId`. */
function plain (name: string): string {
  return name.replace(/[-_]/g, '').toLowerCase()
}

function isField (name: string): boolean {
  return addressFields.some(field => field === name)
}

function listed (names: readonly string[]): string {
  return names.map(name => `'${name}'`).join(', ')
}

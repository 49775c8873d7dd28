import { errors } from '../errors.js'
import { isId } from '../protocol/ids.js'
import type { Label } from '../protocol/position.js'

/** What a connection is for, as its path says. */
export type Target = NotificationsTarget | ChatTarget

export interface NotificationsTarget {
  readonly kind: 'notifications'
  /** The user whose notifications these are. */
  readonly userId: string
}

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

/** `/ws/notifications/…` is the other route, so no workflow can have this name. */
const reservedWorkflow = 'notifications'

export const broadcastChannel = 'broadcast'

/** Throws RT_ERR_INVALID_ID when `userId` is not an id. */
export function userChannel (userId: string): string {
  return `user:${checkId(userId)}`
}

/**
 * The user id is part of it, so a guessed chat id opens the guesser's own empty log. No id has a slash in it.
 * Throws RT_ERR_INVALID_ID, which names the field.
 */
export function chatChannel (address: ChatAddress): string {
  const { workflow, appId, chatId, userId } = Object(address) as ChatAddress
  if (workflow === reservedWorkflow) throw new errors.INVALID_ID("The workflow 'notifications'")
  if (isId(workflow) && isId(appId) && isId(chatId) && isId(userId)) return `chat:${workflow}/${appId}/${chatId}/${userId}`
  throw new errors.INVALID_ID(wrongPartsOf(address))
}

/** The address that `chatChannel` made a channel of. */
export function chatAddressOf (channel: string): ChatAddress {
  const [workflow, appId, chatId, userId] = channel.slice(channel.indexOf(':') + 1).split('/')
  return { workflow, appId, chatId, userId }
}

const addressFields = ['workflow', 'appId', 'chatId', 'userId'] as const

/** Names the fields of a chat's address that are no ids, and those that have the name of such a field in another case. */
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

/** Of `app_id`, `AppId` and `appId` the same. */
function plain (name: string): string {
  return name.replace(/[-_]/g, '').toLowerCase()
}

function isField (name: string): boolean {
  return addressFields.some(field => field === name)
}

function listed (names: readonly string[]): string {
  return names.map(name => `'${name}'`).join(', ')
}

/** Whose memory a channel takes: the user's whose channel or chat it is; a channel without a user stands for itself. */
export function ownerOf (channel: string): string {
  const kind = channel.slice(0, channel.indexOf(':') + 1)
  if (kind === 'user:') return channel.slice(kind.length)
  return kind === 'chat:' ? channel.slice(channel.lastIndexOf('/') + 1) : channel
}

/** The channels that a connection reads, in the order in which they are written to it. */
export function channelsOf (target: Target): string[] {
  return target.kind === 'chat' ? [chatChannel(target)] : [userChannel(target.userId), broadcastChannel]
}

/** The label of a channel's positions is the first letter of its name. */
export function labelOf (channel: string): Label {
  return channel[0] as Label
}

/** Reads `/notifications/:user_id` and `/:workflow/:app_id/:chat_id/:user_id`; `undefined` when it is neither. */
export function parseTarget (segments: string[]): Target | 'invalid' | undefined {
  if (segments.length === 2 && segments[0] === reservedWorkflow) {
    return isId(segments[1]) ? { kind: 'notifications', userId: segments[1] } : 'invalid'
  }
  if (segments.length !== 4) return undefined
  const [workflow, appId, chatId, userId] = segments
  if (workflow === reservedWorkflow || !segments.every(isId)) return 'invalid'
  return { kind: 'chat', workflow, appId, chatId, userId }
}

function checkId (id: unknown): string {
  if (isId(id)) return id
  throw new errors.INVALID_ID(shown(id))
}

/** What was given as an id, for an error. */
function shown (id: unknown): string {
  if (typeof id === 'string') return JSON.stringify(id).slice(0, 140)
  return typeof id === 'object' && id !== null ? 'An object' : String(id)
}

import { idPattern, isId } from '../protocol/ids.js'
import { pathOf } from '../protocol/paths.js'

/** Address of a channel: a complete URL, or its parts. */
export interface Address {
  /** Complete URL of a channel route. Replaces the other fields. */
  url?: string | URL | undefined
  /** URL of the routes, with their prefix: `https://app.example/ws`. Default: `/ws` on the origin of the page. */
  baseUrl?: string | URL | undefined
  /** User whose notifications the client reads; with `chat`, the owner of the chat. */
  userId?: string | undefined
  /** Ids of the chat. Default: the client reads notifications. */
  chat?: { workflow: string, appId: string, chatId: string } | undefined
}

/**
 * Returns the URL of the channel, as text: some hosts cannot modify a URL object, or append a slash to it. Throws a TypeError that
 * names the invalid address or id.
 */
export function urlOf ({ url, baseUrl = '/ws', userId, chat }: Address): string {
  const { location } = globalThis as { location?: { origin: string } }
  const ids = chat ? { workflow: chat.workflow, appId: chat.appId, chatId: chat.chatId, userId } : { userId }
  const text = String(url ?? String(baseUrl).replace(/\/*$/, pathOf(ids, check)))
  const whole = (location && text[0] === '/' ? location.origin + text : text).replace(/^http/i, 'ws')
  // The constructor throws when the host or the port is invalid.
  if (/^wss?:\/\/[^\s#]+$/i.test(whole) && new URL(whole)) return whole
  throw new TypeError(`url '${text}' does not match https://app.example/ws`)
}

/** Adds a parameter to the query of a URL. */
export function withQuery (url: string, name: string, value: string): string {
  return url + (/\?/.test(url) ? '&' : '?') + name + '=' + encodeURIComponent(value)
}

/** Throws a TypeError for an invalid id. A workflow cannot be named `notifications`, like the other route. */
function check (name: string, id: unknown, path: string): void {
  if (!isId(id) || path + id === 'notifications') throw new TypeError(`${name} '${id}' does not match ${idPattern}`)
}

import { idPattern, isId } from '../protocol/ids.js'
import { pathOf } from '../protocol/paths.js'

/** Where to connect: a whole URL, or the parts of one. */
export interface Address {
  /** The whole URL of a channel route. Instead of the others. */
  url?: string | URL | undefined
  /** Where the routes are, prefix included: `https://app.example/ws`. Default: `/ws` of the page's origin. */
  baseUrl?: string | URL | undefined
  /** Whose notifications; with `chat`, whose chat. */
  userId?: string | undefined
  /** The chat, where it is one. */
  chat?: { workflow: string, appId: string, chatId: string } | undefined
}

/**
 * The URL of the channel, as text: in some hosts a URL cannot be changed, or gets a slash at its end. Throws a TypeError
 * that names what is wrong with the address or an id.
 */
export function urlOf ({ url, baseUrl = '/ws', userId, chat }: Address): string {
  const text = String(url ?? baseUrl).replace(/\/*$/, url === undefined ? pathOf(chat ? { workflow: chat.workflow, appId: chat.appId, chatId: chat.chatId, userId } : { userId }, check) : '$&')
  const { location } = globalThis as { location?: { href: string } }
  const whole = location && text[0] === '/' ? new URL(location.href).origin + text : text
  // The constructor throws where the host or the port is wrong.
  if (/^(http|ws)s?:\/\/[^\s#]+$/i.test(whole) && new URL(whole)) return whole.replace(/^http/i, 'ws')
  throw new TypeError(`url '${text}' does not match https://app.example/ws`)
}

/** The URL with one more parameter in its query. */
export function withQuery (url: string, name: string, value: string): string {
  return url + (/\?/.test(url) ? '&' : '?') + name + '=' + encodeURIComponent(value)
}

/** Throws a TypeError for an invalid id. A workflow cannot have the name of the other route. */
function check (name: string, id: unknown, path: string): void {
  if (!isId(id) || path + id === 'notifications') throw new TypeError(`${name} '${id}' does not match ${idPattern}`)
}

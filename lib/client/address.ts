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

/** The URL of the channel. Throws a TypeError when there is not enough to go by. */
export function urlOf ({ url, baseUrl, userId, chat }: Address): URL {
  const { location } = globalThis as { location?: { href: string } }
  const found = url === undefined ? new URL(`${baseOf(baseUrl)}/${pathOf(userId, chat)}`, location?.href) : new URL(url, location?.href)
  found.protocol = found.protocol.replace('http', 'ws')
  return found
}

function baseOf (baseUrl: Address['baseUrl']): string {
  return String(baseUrl ?? '/ws').replace(/\/+$/, '')
}

function pathOf (userId: Address['userId'], chat: Address['chat']): string {
  if (userId === undefined) throw new TypeError("Pass 'userId' or 'url'")
  const parts = chat === undefined ? ['notifications', userId] : [chat.workflow, chat.appId, chat.chatId, userId]
  return parts.map(encodeURIComponent).join('/')
}

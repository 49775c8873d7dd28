import { withQuery } from './address.js'

/** How a credential travels with the handshake: browsers cannot set headers. A cookie travels by itself. */
export type TokenTransport = 'protocol' | 'query'

/** What the WebSocket is opened with: its URL and protocols. */
export function credentialed (url: string, token: string | undefined, transport: TokenTransport = 'protocol'): [string, string[]] {
  if (!token) return [url, []]
  if (transport === 'query') return [withQuery(url, 'token', token), []]
  // The credential travels as another subprotocol beside the one that is offered; the server does not choose it.
  return [url, ['fastify-realtime', 'token.' + escape(token)]]
}

/** A subprotocol is a token of RFC 9110 section 5.6.2. */
function escape (token: string): string {
  return encodeURIComponent(token).replace(/[()]/g, character => character === '(' ? '%28' : '%29')
}

import { withQuery } from './address.js'

/** How the handshake carries a credential: browsers cannot set headers. A cookie needs neither way. */
export type TokenTransport = 'protocol' | 'query'

/** Returns the URL and the subprotocols to open the WebSocket with. */
export function credentialed (url: string, token: string | undefined, transport: TokenTransport = 'protocol'): [string, string[]] {
  if (!token) return [url, []]
  if (transport === 'query') return [withQuery(url, 'token', token), []]
  // The credential is a second subprotocol, which the server does not select. It is escaped, to be a token (RFC 9110 section 5.6.2).
  return [url, ['fastify-realtime', 'token.' + encodeURIComponent(token).replace(/\(/g, '%28').replace(/\)/g, '%29')]]
}

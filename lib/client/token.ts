/** How a credential travels with the handshake: browsers cannot set headers. `cookie` is the browser's own business. */
export type TokenTransport = 'protocol' | 'query'

/** What is offered as the subprotocol; a credential travels as another one beside it, which the server does not choose. */
const protocol = 'fastify-realtime'

const tokenPrefix = 'token.'

/** What the WebSocket is opened with. */
export function credentialed (url: URL, token: string | undefined, transport: TokenTransport): { url: string, protocols: string[] } {
  if (token === undefined) return { url: url.href, protocols: [] }
  if (transport === 'protocol') return { url: url.href, protocols: [protocol, tokenPrefix + escape(token)] }
  const withToken = new URL(url)
  withToken.searchParams.set('token', token)
  return { url: withToken.href, protocols: [] }
}

/** A subprotocol is a token of RFC 9110 section 5.6.2. */
function escape (token: string): string {
  return encodeURIComponent(token).replace(/[()]/g, character => character === '(' ? '%28' : '%29')
}

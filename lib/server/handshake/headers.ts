import type { IncomingHttpHeaders } from 'node:http'

const key = /^[A-Za-z0-9+/]{22}==$/
/** RFC 9110 section 5.6.2. */
const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/

/** Fault in the headers of an upgrade request (RFC 6455 section 4.2.1); `undefined` if there is none. */
export function handshakeFault (headers: IncomingHttpHeaders): string | undefined {
  const { 'sec-websocket-key': nonce, 'sec-websocket-version': version, 'sec-websocket-protocol': protocols } = headers
  if (!key.test(String(nonce))) return 'Sec-WebSocket-Key is missing or wrong'
  if (!['13', '8'].includes(String(version))) return 'Sec-WebSocket-Version is not 13'
  if (protocols !== undefined && !areProtocols(protocols)) return 'Sec-WebSocket-Protocol is not a list of different tokens. Encode a credential in it with encodeURIComponent'
  return undefined
}

function areProtocols (text: string): boolean {
  const protocols = text.split(',').map(protocol => protocol.trim())
  return protocols.every(protocol => token.test(protocol)) && new Set(protocols).size === protocols.length
}

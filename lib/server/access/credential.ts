import type { FastifyRequest } from 'fastify'

const tokenPrefix = 'token.'
const tokenProtocol = /(?:^|,)\s*token\.([^,\s]+)/

/**
 * Credential of a request: from `Authorization: Bearer …`, or as the client of fastify-realtime sends it from a browser, which cannot set
 * headers: a subprotocol `token.…` beside `fastify-realtime`, or `?token=…`. `undefined` if there is none.
 */
export function tokenOf ({ headers, query }: Pick<FastifyRequest, 'headers' | 'query'>): string | undefined {
  const bearer = /^Bearer +(\S+)$/i.exec(headers.authorization ?? '')?.[1]
  const offered = tokenProtocol.exec(headers['sec-websocket-protocol'] ?? '')?.[1]
  const { token } = (query ?? {}) as { token?: unknown }
  return bearer ?? decoded(offered) ?? (typeof token === 'string' && token !== '' ? token : undefined)
}

/** For `handleProtocols` of `ws`: selects the first subprotocol that is not a credential, which must not be sent back. */
export function chosenProtocol (offered: Iterable<string>): string | false {
  return [...offered].find(protocol => !protocol.startsWith(tokenPrefix)) ?? false
}

function decoded (text: string | undefined): string | undefined {
  try {
    return text === undefined ? undefined : decodeURIComponent(text)
  } catch {
    return undefined
  }
}

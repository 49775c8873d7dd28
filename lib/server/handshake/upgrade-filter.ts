import type { IncomingMessage, Server } from 'node:http'
import type { Socket } from 'node:net'

/** Whether a request with an `Upgrade` header becomes an 'upgrade' event. Otherwise it is an ordinary request. */
export type IsUpgrade = (request: IncomingMessage) => boolean

/** Node's HTTP parser of a socket. Not documented: each use checks that it exists. */
interface Parser {
  onIncoming?: (request: IncomingMessage & { upgrade?: boolean | null }, shouldKeepAlive: boolean) => number
}

type FilteringServer = Server & { shouldUpgradeCallback?: IsUpgrade }

/** Whether a request is a `GET` with `Upgrade: websocket` (RFC 6455 section 4.1). HTTP/1.0 has no upgrade (RFC 9110 section 7.8). */
export function isWebSocketUpgrade ({ method, httpVersion, headers }: Pick<IncomingMessage, 'method' | 'httpVersion' | 'headers'>): boolean {
  const { upgrade } = headers
  if (method !== 'GET' || httpVersion !== '1.1' || upgrade === undefined) return false
  return upgrade === 'websocket' || /(?:^|,)\s*websocket\s*(?:,|$)/i.test(upgrade)
}

/**
 * Makes Node emit 'upgrade' for requests that `isUpgrade` accepts, and 'request' for others. By default, Node emits 'upgrade' for all
 * of them as soon as there is one listener.
 */
export function filterUpgrades (server: FilteringServer, isUpgrade: IsUpgrade): void {
  const { shouldUpgradeCallback: accepts } = server
  if (accepts !== undefined) {
    // Node 24.9 and later.
    server.shouldUpgradeCallback = request => accepts.call(server, request) && isUpgrade(request)
    return
  }
  const onConnection = (socket: Socket & { parser?: Parser | null }) => filterParser(socket.parser, isUpgrade)
  server.on('connection', onConnection)
  // With TLS the socket of 'connection' has no parser.
  server.on('secureConnection', onConnection)
}

/** Removes the upgrade flag of refused requests before Node acts on it. */
function filterParser (parser: Parser | null | undefined, isUpgrade: IsUpgrade): void {
  const onIncoming = parser?.onIncoming
  if (onIncoming === undefined) return
  parser!.onIncoming = (request, shouldKeepAlive) => {
    if (request.upgrade === true && request.method !== 'CONNECT' && !isUpgrade(request)) request.upgrade = false
    return onIncoming(request, shouldKeepAlive)
  }
}

import { isIP } from 'node:net'
import type { FastifyRequest } from 'fastify'
import { isId } from '../../protocol/ids.js'
import { reasonOf, type RefusalReason } from '../reports/refusal-reasons.js'
import type { RefusedClient, Refusals } from '../reports/refusals.js'

/** Maximum characters of an address: more than the longest IPv6 address with its zone has. */
const maxAddress = 64

/**
 * Address of a client according to the app's `trustProxy`. `undefined` without `trustProxy`, and if the reported text is not an address:
 * anyone may have written it. The address of the peer counts then, and reading that takes a system call.
 */
export function proxiedAddressOf (request: FastifyRequest): string | undefined {
  // Fastify sets `ips` only with `trustProxy`. A request of `injectWS` has no socket, which Fastify would read.
  if (!('ips' in request) || request.raw.socket === undefined) return undefined
  const ip: unknown = request.ip
  return typeof ip === 'string' && ip.length <= maxAddress && isIP(ip) !== 0 ? ip : undefined
}

/** Address of a client: as a trusted proxy reports it, or that of the peer. */
export function addressOf (request: FastifyRequest): string | undefined {
  return proxiedAddressOf(request) ?? request.raw.socket?.remoteAddress
}

/** Client that requests a channel: the user of the path, who is not authenticated yet, and the address. */
export function clientOf (request: FastifyRequest): RefusedClient {
  const { user_id: userId, '*': rest } = (request.params ?? {}) as Record<string, string | undefined>
  const id = userId ?? rest?.split('/').at(-1)
  return { userId: isId(id) ? id : undefined, remoteAddress: addressOf(request) }
}

/** Reasons for which a request is refused before its path is known to be that of a channel, and to contain a user. */
const withoutUser: RefusalReason[] = ['invalid_id', 'not_a_channel']

/**
 * Records why a request on a channel route was answered with an error. `limit` is the reason for RT_ERR_OVERLOADED. `Access` records
 * its own refusals.
 */
export function noteError (refusals: Refusals, request: FastifyRequest, error: { code?: string }, limit: 'connections' | 'handshakes'): void {
  const reason = error.code === 'RT_ERR_OVERLOADED' ? limit : reasonOf(error)
  if (reason === undefined) return
  const client = withoutUser.includes(reason) ? { remoteAddress: addressOf(request) } : clientOf(request)
  refusals.add(reason, client, reason === 'no_upgrade' ? lostUpgrade(request) : undefined)
}

/** Detail for an upgrade lost in a proxy: one without WebSocket support forwards `Sec-WebSocket-Key`, but not the hop-by-hop `Upgrade`. */
function lostUpgrade ({ headers }: FastifyRequest): string | undefined {
  if (headers['sec-websocket-key'] === undefined) return undefined
  return 'It has a Sec-WebSocket-Key: a proxy in between does not forward the upgrade'
}

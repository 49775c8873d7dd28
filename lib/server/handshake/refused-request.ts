import { isIP } from 'node:net'
import type { FastifyRequest } from 'fastify'
import { isId } from '../../protocol/ids.js'
import { reasonOf, type RefusalReason } from '../reports/refusal-reasons.js'
import type { RefusedClient, Refusals } from '../reports/refusals.js'

/** Characters of an address: more than the longest IPv6 address with its zone has. */
const maxAddress = 64

/**
 * The address of a client as the app's `trustProxy` has it; `undefined` without `trustProxy`, and where it is what anyone may have
 * written, and not an address: then it is that of the peer, which takes a system call.
 */
export function proxiedAddressOf (request: FastifyRequest): string | undefined {
  // Fastify has `ips` with `trustProxy` only. A request that `injectWS` makes has no socket, and Fastify looks for one.
  if (!('ips' in request) || request.raw.socket === undefined) return undefined
  const ip: unknown = request.ip
  return typeof ip === 'string' && ip.length <= maxAddress && isIP(ip) !== 0 ? ip : undefined
}

/** The address of a client: what a proxy has named, or that of the peer. */
export function addressOf (request: FastifyRequest): string | undefined {
  return proxiedAddressOf(request) ?? request.raw.socket?.remoteAddress
}

/** Who asks for a channel: the user of the path, who is not authenticated yet, and the address. */
export function clientOf (request: FastifyRequest): RefusedClient {
  const { user_id: userId, '*': rest } = (request.params ?? {}) as Record<string, string | undefined>
  const id = userId ?? rest?.split('/').at(-1)
  return { userId: isId(id) ? id : undefined, remoteAddress: addressOf(request) }
}

/** Reasons for which a request is refused before its path is known to be that of a channel, and so to name a user. */
const withoutUser: RefusalReason[] = ['invalid_id', 'not_a_channel']

/**
 * Notes why a request on a channel route was answered with an error. `limit` is the reason for RT_ERR_OVERLOADED; those of
 * `Access` are noted where they arise.
 */
export function noteError (refusals: Refusals, request: FastifyRequest, error: { code?: string }, limit: 'connections' | 'handshakes'): void {
  const reason = error.code === 'RT_ERR_OVERLOADED' ? limit : reasonOf(error)
  if (reason === undefined) return
  const client = withoutUser.includes(reason) ? { remoteAddress: addressOf(request) } : clientOf(request)
  refusals.add(reason, client, reason === 'no_upgrade' ? lostUpgrade(request) : undefined)
}

/** `Upgrade` is for one hop and `Sec-WebSocket-Key` for all: a proxy that does not know WebSocket passes only the latter on. */
function lostUpgrade ({ headers }: FastifyRequest): string | undefined {
  if (headers['sec-websocket-key'] === undefined) return undefined
  return 'It has a Sec-WebSocket-Key: a proxy in between does not pass the upgrade on'
}

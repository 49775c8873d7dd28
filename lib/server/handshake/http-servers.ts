import type { Server } from 'node:http'
import type { FastifyInstance } from 'fastify'

/**
 * Calls `action` for `fastify.server` now and, once the app listens, for the servers that Fastify adds when `localhost` has
 * more than one address. Those servers forward only their 'upgrade' events to `fastify.server`.
 */
export function forEachServer (fastify: FastifyInstance, action: (server: Server) => void): void {
  action(fastify.server)
  fastify.addHook('onListen', async () => secondaryServers(fastify).forEach(action))
}

/** Servers that Fastify keeps under a private symbol of the root instance. */
function secondaryServers (fastify: FastifyInstance): Server[] {
  for (let scope: object | null = fastify; scope !== null; scope = Object.getPrototypeOf(scope)) {
    const key = Object.getOwnPropertySymbols(scope).find(({ description }) => description === 'fastify.serverBindings')
    if (key !== undefined) return (scope as Record<symbol, Server[]>)[key]
  }
  return []
}

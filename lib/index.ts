// For its types: `injectWS` and `{ websocket: true }` on the app's own routes.
import '@fastify/websocket'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { errors } from './errors.js'
import { resolveOptions, type RealtimeOptions } from './server/options.js'
import { Realtime } from './server/realtime.js'
import { addRoutes } from './server/routes.js'
import { RealtimeServer } from './server/server.js'

declare module 'fastify' {
  interface FastifyInstance {
    /** Pushes to connected users; see fastify-realtime. */
    ws: Realtime
  }
}

/** On the HTTP server of an app: an upgrade reaches every plugin that listens there, whatever its scope. */
const registered = Symbol.for('fastify-realtime')

/**
 * Real-time, two-way communication with an app's users.
 * Registers `/ws/notifications/:user_id` and `/ws/:workflow/:app_id/:chat_id/:user_id` and decorates `fastify.ws`.
 * Throws RT_ERR_OPTIONS, RT_ERR_AUTHENTICATE_REQUIRED, RT_ERR_ALREADY_REGISTERED or RT_ERR_WEBSOCKET_REGISTERED.
 */
async function plugin (fastify: FastifyInstance, options: RealtimeOptions): Promise<void> {
  const listener: object & { [registered]?: true } = fastify.server
  if (fastify.hasDecorator('ws') || listener[registered] === true) throw new errors.ALREADY_REGISTERED()
  if (fastify.hasPlugin('@fastify/websocket')) throw new errors.WEBSOCKET_REGISTERED()

  const resolved = resolveOptions(options)
  listener[registered] = true
  const server = new RealtimeServer(resolved, fastify.log)
  // Before @fastify/websocket adds its own, which closes every socket at once and without a code.
  fastify.addHook('preClose', () => server.drain())
  fastify.addHook('onListen', async () => server.access.listening(fastify.addresses()))
  fastify.addHook('onClose', () => server.close())

  const { catalogue, hub, counters, timers } = server
  fastify.decorate('ws', new Realtime({ broker: resolved.broker, catalogue, hub, counters, timers, isClosing: () => server.isDraining }))
  await server.start()
  await addRoutes(fastify, server)
}

/** The plugin: `await app.register(realtime, options)`. */
export const realtime = fp(plugin, { fastify: '5.x', name: 'fastify-realtime' })
export default realtime

export { errors } from './errors.js'
export type { Broker, BrokerStats, CreateLog } from './brokers/broker.js'
export { ChannelLog } from './brokers/channel-log.js'
export { Log, type Deflatable, type Frame, type FrameOf, type LogLimits, type Reader } from './brokers/log.js'
export { MemoryBroker, type MemoryBrokerOptions } from './brokers/memory.js'
export * from './protocol/close-codes.js'
export * from './protocol/envelope.js'
export * from './protocol/position.js'
export type { ChatAddress, ChatTarget, NotificationsTarget, Target } from './server/channels.js'
export type { Counters } from './server/connection.js'
export { tokenOf } from './server/credential.js'
export * from './server/hooks.js'
export type { RealtimeOptions } from './server/options.js'
export type { Chat, Realtime, Receipt, Stats } from './server/realtime.js'

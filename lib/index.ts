// For its types: `injectWS` and `{ websocket: true }` on the app's own routes.
import '@fastify/websocket'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { Chats } from './chat/chats.js'
import { errors } from './errors.js'
import { reportAfter, reportAwaited } from './server/awaited.js'
import { discardBroker, takeBroker } from './server/broker-use.js'
import { resolveOptions, type RealtimeOptions } from './server/options.js'
import { Realtime } from './server/realtime.js'
import { addRoutes, type LogOptions } from './server/routes.js'
import { isChild, isLoaded } from './server/scope.js'
import { RealtimeServer } from './server/server.js'
import { warnOf } from './server/watched.js'

declare module 'fastify' {
  interface FastifyInstance {
    /**
     * Pushes to connected users; see fastify-realtime. Present once `await app.register(realtime)` has resolved: in every
     * plugin that is registered after it in the same scope or below, and in hooks and handlers.
     */
    ws: Realtime
  }
}

/** On an HTTP server, which two apps may share by their `serverFactory`: an upgrade reaches every plugin that listens there. */
const registered = Symbol.for('fastify-realtime')

/**
 * Real-time, two-way communication with an app's users.
 * Registers `/ws/notifications/:user_id` and `/ws/:workflow/:app_id/:chat_id/:user_id` and decorates `fastify.ws`.
 * Throws RT_ERR_OPTIONS, RT_ERR_AUTHENTICATE_REQUIRED, RT_ERR_ALREADY_REGISTERED, RT_ERR_NOT_ON_ROOT,
 * RT_ERR_WEBSOCKET_REGISTERED, RT_ERR_BROKER_REFUSED or RT_ERR_BROKER_USED. When it throws, the broker is closed, unless another
 * app uses it.
 */
async function plugin (fastify: FastifyInstance, options: RealtimeOptions & LogOptions): Promise<void> {
  takeBroker(options.broker)
  try {
    await register(fastify, options)
  } catch (error) {
    await discardBroker(options.broker, fastify.log)
    throw error
  }
}

async function register (fastify: FastifyInstance, options: RealtimeOptions & LogOptions): Promise<void> {
  const listener: object & { [registered]?: true } = fastify.server
  if (fastify.hasDecorator('ws') || listener[registered] === true) throw new errors.ALREADY_REGISTERED()
  if (isChild(fastify)) throw new errors.NOT_ON_ROOT(`${fastify.prefix}${options.prefix ?? '/ws'}`)
  if (isLoaded(fastify, '@fastify/websocket')) throw new errors.WEBSOCKET_REGISTERED()

  const resolved = resolveOptions(options)
  listener[registered] = true
  const log = options.logLevel === undefined ? fastify.log : fastify.log.child({}, { level: options.logLevel })
  const server = new RealtimeServer(resolved, log)
  const { chat, limits, timeouts, broker } = resolved
  const { hub, counters, timers, publisher, cluster, soon } = server
  const chats = new Chats({
    options: chat,
    limits: { ...limits, runTime: timeouts.run, saveTime: timeouts.handler },
    publisher,
    timers,
    log,
    soon,
    cluster,
    logOf: channel => broker.subscribe(channel)
  })
  server.extend({ rows: chats.rows(), fallbacks: chats.fallbacks(), sees: chats.sees })
  // Before @fastify/websocket adds its own, which closes every socket at once and without a code.
  fastify.addHook('preClose', async () => {
    const end = performance.now() + drainTime(timeouts.drain, fastify.initialConfig.pluginTimeout)
    const left = () => end - performance.now()
    const cancel = timers.after(reportAfter, () => reportAwaited(log, { ...server.awaited(), ...chats.awaited() }, left()))
    await timers.within(left() * chatsShare, chats.close()).catch(() => {})
    await server.drain(left())
    cancel()
  })
  fastify.addHook('onListen', async () => server.access.listening(fastify.addresses()))
  fastify.addHook('onClose', () => server.close())

  fastify.decorate('ws', new Realtime({
    broker,
    publisher,
    hub,
    counters,
    cluster,
    disconnectUser: (userId, code) => server.disconnectUser(userId, code),
    onUnheard: warnOf(log, 'A call of fastify.ws failed'),
    openChat: address => chats.open(address)
  }))
  await server.start()
  await addRoutes(fastify, server, options)
}

/** For this share of the drain runs may tell that they are over; the rest is for connections to end in. */
const chatsShare = 0.8

/** Milliseconds of the time that Fastify gives a hook which are left to it: it would fail `app.close()`. */
const margin = 500

/** `pluginTimeout` is Fastify's, in milliseconds; 0 is none. */
function drainTime (drain: number, pluginTimeout = 10_000): number {
  return pluginTimeout === 0 ? drain : Math.min(drain, Math.max(0, pluginTimeout - margin))
}

/** The plugin: `await app.register(realtime, options)`. */
export const realtime = fp(plugin, { fastify: '5.x', name: 'fastify-realtime' })
export default realtime

export { errors } from './errors.js'
export type { Broker, BrokerHost, BrokerLog, BrokerStats, CreateLog, OwnerOf } from './brokers/broker.js'
export { ChannelLog } from './brokers/channel-log.js'
export { Log, type Deflatable, type Frame, type FrameOf, type LogLimits, type Publication, type Reader } from './brokers/log.js'
export { MemoryBroker, type MemoryBrokerOptions } from './brokers/memory.js'
export type { Outcome } from './protocol/chat.js'
export * from './protocol/close-codes.js'
export * from './protocol/envelope.js'
export * from './protocol/position.js'
export type { ChatAddress, ChatTarget, NotificationsTarget, Target } from './server/channels.js'
export type * from './server/chat-hooks.js'
export type { Counters } from './server/connection.js'
export { tokenOf } from './server/credential.js'
export * from './server/hooks.js'
export type { RealtimeOptions } from './server/options.js'
export type { Receipt } from './server/publisher.js'
export type { Present, Realtime, Stats } from './server/realtime.js'

import type { FastifyBaseLogger, FastifyInstance } from 'fastify'
import { AppChannels } from './channels/channels.js'
import { messagesOfKinds } from './channels/options.js'
import { Chats } from './chat/chats.js'
import { chatPath } from './chat/kind.js'
import { chatRetention } from './chat/retention.js'
import { errors } from './errors.js'
import { broadcastKind, notificationsPath, userKind } from './notifications/kinds.js'
import { resolveOptions, type RealtimeOptions, type ResolvedOptions } from './plugin-options.js'
import { ServerPresence } from './presence/presence.js'
import { Realtime } from './realtime.js'
import { discardBroker, takeBroker } from './server/broker-use.js'
import { deflatableFrame, textFrame } from './server/delivery/frame.js'
import { addRoutes, type LogOptions } from './server/handshake/routes.js'
import { isChild, isLoaded } from './server/handshake/scope.js'
import { warnOf } from './server/messages/watched.js'
import { Kinds, type ChannelKind, type ChannelPath } from './server/kinds.js'
import { createParts, type ServerParts } from './server/parts.js'
import { reportAfter, reportAwaited } from './server/reports/awaited.js'
import { RealtimeServer } from './server/server.js'
import { within } from './time/within.js'

/** Options of the plugin, and options that Fastify reads for any plugin. @inline */
export type PluginOptions = RealtimeOptions & LogOptions

/** Channel kinds and paths in addition to those of the two routes. */
export interface ChannelModule {
  readonly kinds: readonly ChannelKind[]
  readonly paths: readonly ChannelPath[]
}

/** Creates a module for a server. Internal: the package does not export it. */
export type CreateModule = (parts: ServerParts) => ChannelModule

/** Marks an HTTP server. Two apps may share one through their `serverFactory`, and an upgrade then reaches each plugin on it. */
const registered = Symbol.for('fastify-realtime')

/**
 * Real-time, two-way communication with an app's users.
 * Registers `/ws/notifications/:user_id` and `/ws/:workflow/:app_id/:chat_id/:user_id` and decorates `fastify.ws`.
 * Throws RT_ERR_OPTIONS, RT_ERR_AUTHENTICATE_REQUIRED, RT_ERR_ALREADY_REGISTERED, RT_ERR_NOT_ON_ROOT,
 * RT_ERR_WEBSOCKET_REGISTERED, RT_ERR_BROKER_REFUSED or RT_ERR_BROKER_USED. It then closes the broker, unless another app uses it.
 * `modules`: additional channel kinds.
 */
export async function plugin (fastify: FastifyInstance, options: PluginOptions, modules: readonly CreateModule[] = []): Promise<void> {
  takeBroker(options.broker)
  try {
    await register(fastify, options, modules)
  } catch (error) {
    await discardBroker(options.broker, fastify.log)
    throw error
  }
}

async function register (fastify: FastifyInstance, options: PluginOptions, modules: readonly CreateModule[]): Promise<void> {
  const listener: object & { [registered]?: true } = fastify.server
  if (fastify.hasDecorator('ws') || listener[registered] === true) throw new errors.ALREADY_REGISTERED()
  if (isChild(fastify)) throw new errors.NOT_ON_ROOT(`${fastify.prefix}${options.prefix ?? '/ws'}`)
  if (isLoaded(fastify, '@fastify/websocket')) throw new errors.WEBSOCKET_REGISTERED()

  const resolved = resolveOptions(options)
  listener[registered] = true
  const log = options.logLevel === undefined ? fastify.log : fastify.log.child({}, { level: options.logLevel })
  const { server, chats, channels, presence } = build(resolved, log, modules)
  // Before @fastify/websocket adds its own hook, which closes every socket at once and without a code.
  fastify.addHook('preClose', () => drain(server, chats, drainTime(resolved.timeouts.drain, fastify.initialConfig.pluginTimeout)))
  fastify.addHook('onListen', async () => server.parts.access.listening(fastify.addresses()))
  fastify.addHook('onClose', async () => {
    await presence.close()
    await server.close()
  })
  fastify.decorate('ws', new Realtime(server, chats, channels))
  try {
    await server.start()
    await addRoutes(fastify, server, options)
  } catch (error) {
    server.stop()
    throw error
  }
}

interface Built {
  server: RealtimeServer
  chats: Chats
  channels: AppChannels
  presence: ServerPresence
}

/** Builds the parts, then the kinds of channels, then the server. */
function build (options: ResolvedOptions, log: FastifyBaseLogger, modules: readonly CreateModule[]): Built {
  const { channels: definitions, chat, limits, timeouts } = options
  const parts = createParts(options, log, messagesOfKinds(definitions))
  const { broker } = options
  const retention = broker.retentions?.chat ?? chatRetention()
  const chatLimits = { ...limits, runTime: timeouts.run, saveTime: timeouts.handler }
  const presence = new ServerPresence({
    broker,
    timers: parts.timers,
    encode: options.compression ? deflatableFrame : textFrame,
    channelsPerUser: limits.channelsPerUser
  })
  const ofChats = chat.presence && presence.of(chat.presence, 'chat.presence')
  const chats = new Chats({ ...parts, presence: ofChats, options: chat, limits: chatLimits, broker, retention })
  const onUnheard = warnOf(log, 'A message was not sent to a channel')
  const channels = new AppChannels({ definitions, presence, publisher: parts.publisher, maxBytes: limits.message, onUnheard })
  const hasPresence = [chats.kind, ...channels.kinds].some(({ presence }) => presence !== undefined)
  const more = modules.map(create => create(parts))
  const kinds = new Kinds(
    [userKind, broadcastKind, chats.kind, ...channels.kinds, ...hasPresence ? [presence.kind] : [], ...more.flatMap(({ kinds }) => kinds)],
    [notificationsPath, chatPath(chats.kind), ...more.flatMap(({ paths }) => paths)]
  )
  return { server: new RealtimeServer(parts, kinds), chats, channels, presence }
}

/** Ends runs while users can still be notified, then connections. */
async function drain (server: RealtimeServer, chats: Chats, ms: number): Promise<void> {
  const { timers, log } = server.parts
  const end = performance.now() + ms
  const left = () => end - performance.now()
  const cancel = timers.after(reportAfter, () => reportAwaited(log, [...server.awaited(), ...chats.awaited()], left()))
  await within(left() * chatsShare, chats.close(), timers).catch(() => {})
  await server.drain(left())
  cancel()
}

/** Fraction of the drain time for runs to report their ends. The rest is for connections to end. */
const chatsShare = 0.8

/** Time in ms that is left of Fastify's timeout of a hook. When it is exceeded, Fastify fails `app.close()`. */
const margin = 500

/** Drain time in ms, within Fastify's `pluginTimeout` in ms; 0 is no timeout. */
function drainTime (drain: number, pluginTimeout = 10_000): number {
  return pluginTimeout === 0 ? drain : Math.min(drain, Math.max(0, pluginTimeout - margin))
}

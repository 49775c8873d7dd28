// For its types: `injectWS`, and `{ websocket: true }` on the app's own routes.
import '@fastify/websocket'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { plugin, type PluginOptions } from './plugin.js'
import type { Realtime } from './realtime.js'

declare module 'fastify' {
  interface FastifyInstance {
    /**
     * Pushes messages to connected users. Available when `await app.register(realtime)` has resolved: in every plugin that is registered
     * after it in the same scope or below, and in hooks and handlers.
     */
    ws: Realtime
  }
}

/** The plugin: `await app.register(realtime, options)`. */
export const realtime = fp((fastify: FastifyInstance, options: PluginOptions) => plugin(fastify, options), { fastify: '5.x', name: 'fastify-realtime' })
export default realtime

export { errors, type ErrorClass } from './errors.js'
export type { Broker, BrokerHost, BrokerLog, BrokerStats, CreateLog, EnteredConnection, Lease, Nodes, OwnerOf, Retention, StoredRetention } from './brokers/broker.js'
export { ChannelLog } from './logs/channel-log.js'
export { Log, type Deflatable, type Frame, type FrameOf, type LogLimits, type Precedes, type Publication, type Reader } from './logs/log.js'
export { MemoryBroker, type MemoryBrokerOptions } from './brokers/memory.js'
export { defineChannel } from './channels/define.js'
export type { Channel, ChannelAddress, ChannelContext, ChannelDefinition, ChannelMessage } from './channels/define.js'
export type { UnsubscribedReason } from './protocol/channels.js'
export type { AnswersOf, Channels, KindName, MessagesOf } from './protocol/kind-name.js'
export type { PresenceOptions } from './presence/options.js'
export type { ChatPresence, Member, MemberConnection, PresenceOf } from './protocol/member.js'
export type { Outcome } from './protocol/chat.js'
export * from './protocol/close-codes.js'
export * from './protocol/envelope.js'
export * from './protocol/position.js'
export type { ChatAddress, ChatTarget } from './chat/address.js'
export type * from './chat/hooks.js'
export type { NotificationsTarget } from './notifications/kinds.js'
export type { Target, Targets } from './server/target.js'
export type { Counters } from './server/reports/counters.js'
export { tokenOf } from './server/access/credential.js'
export * from './server/hooks.js'
export type { RealtimeOptions } from './plugin-options.js'
export type { Receipt } from './server/messages/publisher.js'
export type { Present, Realtime, Stats } from './realtime.js'

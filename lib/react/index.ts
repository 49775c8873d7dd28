'use client'

export { useChannel, type ChannelHandlers, type ChannelOptions, type ShownChannel } from './channel.js'
export { useChat, type ChatProps, type ShownChat } from './chat.js'
export {
  useMessages, useNotifications, useRealtime, useReload, useRequest, useResume, useSend, useStatus,
  type NotificationsOptions, type Request, type Send
} from './hooks.js'
export type { Notification, NotificationType, StoredNotification } from './state/notifications.js'
export type { OptimisticItem } from './optimistic.js'
export { useOptimisticList, type OptimisticOptions } from './optimistic-list.js'
export { usePresence, type PresenceOfChat, type ShownPresence } from './presence.js'
export { RealtimeProvider, type ProviderProps } from './provider.js'
export type { Snapshot, StoreOptions } from './state/store.js'
export { RealtimeError, type Closed, type Member, type MemberConnection } from '../client/index.js'
export type { ChatState, ChatStatus, SendOptions } from '../client/chat/chat.js'
export type {
  ChatItem, ChatMessage, MessageData, MessageFile, Question, Reasoning, Source, Step, ToolCall, WholeMessage
} from '../client/chat/items.js'

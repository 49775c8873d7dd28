// A page that uses the modules for pages. It is compiled against the packed package, and never run.
import { EventType } from '@ag-ui/core'
import { createElement as h, type ReactElement } from 'react'
import * as ofAgUi from 'fastify-realtime/ag-ui'
import { fromAgUi, toAgUi } from 'fastify-realtime/ag-ui'
import * as ofAiSdk from 'fastify-realtime/ai-sdk'
import { RealtimeChatTransport } from 'fastify-realtime/ai-sdk'
import * as ofChat from 'fastify-realtime/chat'
import { createChat, type Chat, type ChatMessage } from 'fastify-realtime/chat'
import * as ofClient from 'fastify-realtime/client'
import { createClient, type Envelope, type RealtimeClient } from 'fastify-realtime/client'
import * as ofReact from 'fastify-realtime/react'
import { RealtimeProvider, useChat, useMessages, useNotifications, useOptimisticList, useRealtime } from 'fastify-realtime/react'
import type { Known } from './known.js'

export const known: Known<[
  typeof ofAgUi, typeof ofAiSdk, typeof ofChat, typeof ofClient, typeof ofReact,
  RealtimeClient, Chat, ChatMessage, Envelope<'order_shipped'>, RealtimeChatTransport,
  ReturnType<typeof useChat>, ReturnType<typeof useRealtime>, ReturnType<typeof useNotifications>,
  { event: ReturnType<ReturnType<typeof toAgUi>>[number], message: ReturnType<ReturnType<typeof fromAgUi>>[number] }
]> = true

const userId: string | undefined = globalThis.location?.hash
const client = createClient({ userId, baseUrl: undefined, getToken: undefined, queue: undefined, WebSocket })
client.on('order_shipped', data => { (data?.order_id satisfies string | undefined) })
client.on('*', ({ type }) => { (type satisfies string) })
await client.send('order_shipped', { order_id: 'o1' })
for await (const envelope of client) envelope.timestamp satisfies string

const chat = createChat({ workflow: 'w', appId: 'a', chatId: 'c', userId: 'ada', history: undefined, backoff: attempt => attempt })
await chat.send('Hi', { id: undefined, timeout: 5 })
for (const { text } of chat.messages) text satisfies string

export function App ({ user }: { user?: string | undefined }): ReactElement {
  return h(RealtimeProvider, { userId: user, share: true }, h(Orders))
}

function Orders (): ReactElement {
  const { isConnected, lastMessage } = useRealtime()
  const { items } = useChat({ workflow: 'w', appId: 'a', chatId: 'c', userId: undefined })
  const { add } = useOptimisticList<{ id: string }>({ type: 'order', idOf: ({ id }) => id, refOf: () => undefined, initial: undefined })
  useMessages('order_shipped', data => { (data?.carrier satisfies string | undefined) })
  // @ts-expect-error There is no such type of notification.
  useNotifications({ types: ['order'] })
  return h('button', { onClick: () => add({ id: 'x' }, async () => {}), disabled: !isConnected }, items.length, lastMessage?.type)
}

export const transport = new RealtimeChatTransport({ workflow: 'w', appId: 'a', userId: 'ada', idle: undefined })
export const events = fromAgUi()({ type: EventType.TEXT_MESSAGE_CHUNK, messageId: 'm1', delta: 'Hello' }).flatMap(toAgUi({ threadId: 'c1' }))

// @ts-expect-error The type has no field 'order'.
client.send('order_shipped', { order: 'o1' })
// @ts-expect-error A chat requires a user.
createChat({ workflow: 'w', appId: 'a', chatId: 'c' })
// @ts-expect-error There is no such option.
createClient({ user: 'ada' })
// @ts-expect-error A provider has no option 'userID'.
h(RealtimeProvider, { userID: 'ada' })

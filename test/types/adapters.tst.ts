import type { Event } from '@ag-ui/core'
import type { useChat } from '@ai-sdk/react'
import type { ChatTransport, UIMessage, UIMessageChunk } from 'ai'
import { describe, expect, test } from 'tstyche'
import { agUiSource, fromAgUi, toAgUi, type ChatMessage } from '../../lib/adapters/ag-ui.js'
import { RealtimeChatTransport, type PrepareOptions } from '../../lib/adapters/ai-sdk.js'
import type { AnswerSource } from '../../lib/chat/hooks.js'
import type { ChatClient } from '../../lib/client/chat/index.js'
import type { RealtimeClient } from '../../lib/client/index.js'
import type { Chat, Envelope } from '../../lib/index.js'

interface Tools { search: { input: { q: string }, output: number } }
interface Mine extends UIMessage<{ model: string }, { order_packed: { order: number } }, { [T in keyof Tools]: Tools[T] }> {}

declare const transport: RealtimeChatTransport<Mine>
declare const chat: Chat
declare const client: RealtimeClient
declare const chatClient: ChatClient

describe('RealtimeChatTransport', () => {
  test('is a ChatTransport of the AI SDK for any type of message', () => {
    expect<RealtimeChatTransport>().type.toBeAssignableTo<ChatTransport<UIMessage>>()
    expect<RealtimeChatTransport<Mine>>().type.toBeAssignableTo<ChatTransport<Mine>>()
    expect<typeof useChat>().type.toBeCallableWith({ id: 'c1', transport: new RealtimeChatTransport({ workflow: 'w', appId: 'a', userId: 'u' }) })
    expect(transport.reconnectToStream({ chatId: 'c1' })).type.toBe<Promise<ReadableStream<UIMessageChunk> | null>>()
  })

  test('requires the workflow, the app and the user, and refuses url and share', () => {
    expect(RealtimeChatTransport).type.toBeConstructableWith({ workflow: 'w', appId: 'a', userId: 'u', baseUrl: '/ws', getToken: () => 'x', idle: 1 })
    expect(RealtimeChatTransport).type.not.toBeConstructableWith({ workflow: 'w', appId: 'a' })
    expect(RealtimeChatTransport).type.not.toBeConstructableWith({ workflow: 'w', appId: 'a', userId: 'u', url: 'ws://x' })
    expect(RealtimeChatTransport).type.not.toBeConstructableWith({ workflow: 'w', appId: 'a', userId: 'u', share: true })
    expect(transport.respond).type.not.toBeCallableWith('c1', 7, true)
  })
})

describe('RealtimeChatTransport with a client', () => {
  test('takes the client of either createClient, and the user of it', () => {
    expect(RealtimeChatTransport).type.toBeConstructableWith({ workflow: 'w', appId: 'a', client })
    expect(RealtimeChatTransport).type.toBeConstructableWith({ workflow: 'w', appId: 'a', client: chatClient, userId: 'u', idle: 1 })
  })

  test('refuses the options of a connection', () => {
    expect(RealtimeChatTransport).type.not.toBeConstructableWith({ workflow: 'w', appId: 'a', client, baseUrl: '/ws' })
    expect(RealtimeChatTransport).type.not.toBeConstructableWith({ workflow: 'w', appId: 'a', client, getToken: () => 'x' })
    expect(RealtimeChatTransport).type.not.toBeConstructableWith({ workflow: 'w', appId: 'a', client: {} })
  })

  test('prepareSendMessagesRequest gets the messages, and returns a body', () => {
    const options = { workflow: 'w', appId: 'a', client }
    const prepareSendMessagesRequest = ({ messages }: PrepareOptions) => ({ body: { messages } })
    expect(RealtimeChatTransport).type.toBeConstructableWith({ ...options, prepareSendMessagesRequest })
    expect(RealtimeChatTransport).type.not.toBeConstructableWith({ ...options, prepareSendMessagesRequest: () => 'text' })
  })
})

describe('AG-UI', () => {
  test('toAgUi converts to events, and fromAgUi converts to messages', () => {
    expect(toAgUi({ threadId: 't' })).type.toBe<(envelope: Envelope | ChatMessage) => Event[]>()
    expect(fromAgUi()).type.toBe<(event: Event) => ChatMessage[]>()
    expect(toAgUi).type.not.toBeCallableWith({})
  })

  test('chat.send accepts the messages of fromAgUi', () => {
    expect(chat.send).type.toBeCallableWith({} as ChatMessage)
  })

  test('agUiSource takes a response or events, and its result is a source of an answer', () => {
    expect(agUiSource(new Response())).type.toBeAssignableTo<AnswerSource>()
    expect(agUiSource).type.toBeCallableWith({} as AsyncIterable<Event>)
    expect(agUiSource).type.not.toBeCallableWith({} as AsyncIterable<string>)
    expect(agUiSource).type.not.toBeCallableWith('https://agent.example')
  })
})

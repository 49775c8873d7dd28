import { describe, expect, test } from 'tstyche'
import { createChat, createClient, type Chat, type ChatItem, type ChatMessage, type ChatState, type ChatStatus, type Question, type ToolCall, type WholeMessage } from '../../lib/client/chat/index.js'
import type { RealtimeClient } from '../../lib/client/index.js'
import { useChat } from '../../lib/react/index.js'

const target = { workflow: 'w', appId: 'a', chatId: 'c' }
declare const chat: Chat
declare const item: ChatItem

describe('a client with chats', () => {
  test('is a RealtimeClient', () => {
    expect(createClient({ userId: 'u' })).type.toBeAssignableTo<RealtimeClient>()
  })

  test('returns a chat for a complete target', () => {
    const client = createClient({ userId: 'u' })
    expect(client.chat(target)).type.toBe<Chat>()
    expect(client.chat).type.toBeCallableWith({ ...target, userId: 'v', history: true })
    expect(client.chat).type.not.toBeCallableWith({ workflow: 'w', appId: 'a' })
    expect(client.chat).type.not.toBeCallableWith({ ...target, share: true })
  })

  test('createChat requires a user, and refuses url', () => {
    expect(createChat).type.toBeCallableWith({ ...target, userId: 'u', baseUrl: '/ws', getToken: () => 'token' })
    expect(createChat).type.not.toBeCallableWith(target)
    expect(createChat).type.not.toBeCallableWith({ ...target, userId: 'u', url: 'ws://a.example' })
  })
})

describe('a chat', () => {
  test('has items that narrow by their kind', () => {
    if (item.kind === 'message') expect(item).type.toBe<ChatMessage>()
    if (item.kind === 'tool') expect(item).type.toBe<ToolCall>()
    if (item.kind === 'question') expect(item).type.toBe<Question>()
    expect<ChatItem['kind']>().type.toBe<'message' | 'tool' | 'question' | 'reasoning' | 'source' | 'file' | 'data' | 'step'>()
  })

  test('is read-only', () => {
    expect(chat.messages).type.toBe<readonly WholeMessage[]>()
    expect(chat.items).type.toBe<readonly ChatItem[]>()
    expect<ChatMessage>().type.not.toBe<{ -readonly [K in keyof ChatMessage]: ChatMessage[K] }>()
    expect<ChatMessage['status']>().type.toBe<'pending' | 'queued' | 'streaming' | 'complete' | 'cancelled' | 'interrupted' | 'error'>()
    expect<ChatStatus>().type.toBe<'connecting' | 'ready' | 'submitted' | 'streaming' | 'waiting' | 'closed'>()
  })

  test('sends texts, answers questions and loads older items', () => {
    expect(chat.send).type.toBeCallableWith('Hi', { data: { files: [1] }, id: 'm1', timeout: 5 })
    expect(chat.send).type.not.toBeCallableWith({ content: 'Hi' })
    expect(chat.send('Hi')).type.toBe<Promise<void>>()
    expect(chat.question?.answer(5)).type.toBe<Promise<void> | undefined>()
    expect(chat.loadOlder()).type.toBe<Promise<boolean>>()
  })
})

describe('useChat', () => {
  test('returns the state of a chat and its actions', () => {
    expect(useChat).type.toBeCallableWith({ ...target, history: true })
    expect(useChat).type.not.toBeCallableWith({ workflow: 'w' })
    expect(useChat).type.toBeCallableWith({ ...target, chatId: undefined, userId: undefined })
    expect(useChat(target).status).type.toBe<ChatStatus | 'idle'>()
    expect<keyof ReturnType<typeof useChat>>().type.toBe<keyof ChatState | 'send' | 'stop' | 'withdraw' | 'loadOlder' | 'retry'>()
    expect(useChat(target).send).type.toBe<Chat['send']>()
  })
})

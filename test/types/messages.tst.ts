import { describe, expect, test } from 'tstyche'
import type { FastifyInstance } from 'fastify'
import type { Chat, Envelope, Message, RealtimeConnection, Receipt } from '../../lib/index.js'

// An app augments the module 'fastify-realtime' instead of this path.
declare module '../../lib/index.js' {
  interface Messages {
    order_shipped: { order_id: string, carrier?: string }
    cart_emptied?: { reason: string }
  }
}

declare const app: FastifyInstance
declare const chat: Chat
declare const connection: RealtimeConnection

describe('sendToUser', () => {
  test('accepts the common types with their data', () => {
    expect(app.ws.sendToUser).type.toBeCallableWith('u', { type: 'notification', data: { title: 'x' } })
    expect(app.ws.sendToUser).type.toBeCallableWith('u', { type: 'notification', data: { title: 'x', message: 'y', id: 1, colour: 'red' } })
    expect(app.ws.sendToUser).type.toBeCallableWith('u', { type: 'task_update', action: 'created', data: { task_id: 7, title: 'x' } })
    expect(app.ws.sendToUser).type.toBeCallableWith('u', { type: 'chat_message', data: { content: 'x', agent: 'y' } })
    expect(app.ws.sendToUser).type.toBeCallableWith('u', { type: 'system_announcement', message: 'x' })
    expect(app.ws.sendToUser).type.toBeCallableWith('u', { type: 'system_announcement', message: 'x', data: ['anything'] })
    expect(app.ws.sendToUser).type.toBeCallableWith('u', { type: 'notification', data: { title: 'x' }, timestamp: '2026-01-01T00:00:00Z' })
  })

  test('resolves with a receipt', () => {
    expect(app.ws.sendToUser('u', { type: 'x' })).type.toBe<Promise<Receipt>>()
    expect<keyof Receipt>().type.toBe<'id' | 'timestamp'>()
  })

  test('refuses wrong data for a type', () => {
    expect(app.ws.sendToUser).type.not.toBeCallableWith('u', { type: 'notification', data: { titel: 'x' } })
    expect(app.ws.sendToUser).type.not.toBeCallableWith('u', { type: 'notification', data: { title: 1 } })
    expect(app.ws.sendToUser).type.not.toBeCallableWith('u', { type: 'notification', data: { title: 'x', id: true } })
    expect(app.ws.sendToUser).type.not.toBeCallableWith('u', { type: 'task_update', data: { title: 'x' } })
    expect(app.ws.sendToUser).type.not.toBeCallableWith('u', { type: 'chat_message', data: { content: 1 } })
  })

  test('refuses a message with a missing part', () => {
    expect(app.ws.sendToUser).type.not.toBeCallableWith('u', { type: 'notification' })
    expect(app.ws.sendToUser).type.not.toBeCallableWith('u', { type: 'system_announcement' })
    expect(app.ws.sendToUser).type.not.toBeCallableWith('u', { type: 'system_announcement', data: { message: 'x' } })
    expect(app.ws.sendToUser).type.not.toBeCallableWith('u', { data: { title: 'x' } })
    expect(app.ws.sendToUser).type.not.toBeCallableWith('u')
  })

  test('refuses unknown fields and fields of a wrong type', () => {
    expect(app.ws.sendToUser).type.not.toBeCallableWith('u', { type: 'notification', data: { title: 'x' }, id: 'u.a.1' })
    expect(app.ws.sendToUser).type.not.toBeCallableWith('u', { type: 'x', payload: 1 })
    expect(app.ws.sendToUser).type.not.toBeCallableWith('u', { type: 'x', action: 1 })
    expect(app.ws.sendToUser).type.not.toBeCallableWith('u', { type: 'x', timestamp: new Date() })
    expect(app.ws.sendToUser).type.not.toBeCallableWith(1, { type: 'x' })
  })

  test('accepts unknown types with any data', () => {
    expect(app.ws.sendToUser).type.toBeCallableWith('u', { type: 'invoice_paid' })
    expect(app.ws.sendToUser).type.toBeCallableWith('u', { type: 'invoice_paid', data: 42 })
    expect(app.ws.sendToUser).type.toBeCallableWith('u', { type: 'invoice_paid', data: { any: ['thing'] }, message: 'x' })
  })

  test('accepts a type that is only known as a string', () => {
    expect(app.ws.sendToUser).type.toBeCallableWith('u', { type: 'x' as string, data: { any: 'thing' } })
  })
})

describe("the app's own types", () => {
  test('are checked like the common ones', () => {
    expect(app.ws.sendToUser).type.toBeCallableWith('u', { type: 'order_shipped', data: { order_id: 'o1', carrier: 'post' } })
    expect(app.ws.sendToUser).type.not.toBeCallableWith('u', { type: 'order_shipped', data: { order_id: 1 } })
    expect(app.ws.sendToUser).type.not.toBeCallableWith('u', { type: 'order_shipped', data: { order: 'o1' } })
    expect(app.ws.sendToUser).type.not.toBeCallableWith('u', { type: 'order_shipped', data: { order_id: 'o1', colour: 'red' } })
    expect(app.ws.sendToUser).type.not.toBeCallableWith('u', { type: 'order_shipped' })
  })

  test('can have optional data', () => {
    expect(app.ws.sendToUser).type.toBeCallableWith('u', { type: 'cart_emptied' })
    expect(app.ws.sendToUser).type.toBeCallableWith('u', { type: 'cart_emptied', data: { reason: 'x' } })
    expect(app.ws.sendToUser).type.not.toBeCallableWith('u', { type: 'cart_emptied', data: { reason: 1 } })
  })
})

describe('broadcast, chat and connection', () => {
  test('are as strict as sendToUser', () => {
    expect(app.ws.broadcast).type.toBeCallableWith({ type: 'system_announcement', message: 'x' })
    expect(app.ws.broadcast).type.not.toBeCallableWith({ type: 'system_announcement' })
    expect(app.ws.broadcast).type.not.toBeCallableWith({ type: 'notification', data: { titel: 'x' } })
    expect(app.ws.broadcast).type.not.toBeCallableWith('u', { type: 'x' })

    expect(chat.send).type.toBeCallableWith({ type: 'chat_message', data: { content: 'x' } })
    expect(chat.send).type.not.toBeCallableWith({ type: 'chat_message', data: { text: 'x' } })
    expect(chat.send).type.not.toBeCallableWith({ type: 'order_shipped', data: {} })

    expect(connection.send).type.toBeCallableWith({ type: 'order_shipped', data: { order_id: 'o1' } })
    expect(connection.send).type.not.toBeCallableWith({ type: 'order_shipped', data: { order: 'o1' } })
    expect(connection.send).type.not.toBeCallableWith({ type: 'notification' })
  })

  test('return a receipt, except for a connection', () => {
    expect(app.ws.broadcast({ type: 'x' })).type.toBe<Promise<Receipt>>()
    expect(chat.send({ type: 'x' })).type.toBe<Promise<Receipt>>()
    expect(connection.send({ type: 'x' })).type.toBe<void>()
  })

  test('chat requires four ids', () => {
    expect(app.ws.chat).type.toBeCallableWith({ workflow: 'w', appId: 'a', chatId: 'c', userId: 'u' })
    expect(app.ws.chat).type.not.toBeCallableWith({ workflow: 'w', appId: 'a', chatId: 'c' })
    expect(app.ws.chat).type.not.toBeCallableWith({ workflow: 'w', app_id: 'a', chat_id: 'c', user_id: 'u' })
  })
})

describe('Message', () => {
  test('is the type of a message for the functions of an app', () => {
    expect<Message<'notification'>>().type.toBeAssignableFrom<{ type: 'notification', data: { title: string } }>()
    expect<Message<'notification'>>().type.not.toBeAssignableFrom<{ type: 'notification' }>()
    expect<Message<'order_shipped'>['data']>().type.toBe<{ order_id: string, carrier?: string }>()
    expect<Message>().type.toBeAssignableFrom<{ type: string, data: number }>()
  })
})

describe('Envelope', () => {
  test('has the data of its type', () => {
    expect<Envelope<'order_shipped'>['data']>().type.toBe<{ order_id: string, carrier?: string }>()
    expect<Envelope<'notification'>['data']['title']>().type.toBe<string>()
    expect<Envelope<'cart_emptied'>['data']>().type.toBe<{ reason: string } | undefined>()
    expect<Envelope<'connection_ack'>['data']['position']>().type.toBe<string>()
    expect<Envelope<'invoice_paid'>['data']>().type.toBe<unknown>()
    expect<Envelope['id']>().type.toBe<string | undefined>()
    expect<Envelope['timestamp']>().type.toBe<string>()
  })

  test('narrows by its type', () => {
    const envelope = {} as Envelope<'order_shipped'> | Envelope<'chat_message'>
    if (envelope.type === 'order_shipped') expect(envelope.data.order_id).type.toBe<string>()
    else expect(envelope.data.content).type.toBe<string>()
  })
})

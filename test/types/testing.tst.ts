import { describe, expect, test } from 'tstyche'
import Fastify, { type FastifyInstance } from 'fastify'
import type { RealtimeClient } from '../../lib/client/index.js'
import type { Envelope } from '../../lib/index.js'
import { connect, fakeClient, type TestSocket } from '../../lib/testing/index.js'

declare const app: FastifyInstance
declare const socket: TestSocket

describe('connect', () => {
  test('accepts any Fastify app', () => {
    expect(connect).type.toBeCallableWith(app, { userId: 'u' })
    expect(connect).type.toBeCallableWith(Fastify({ http2: true }), { userId: 'u' })
    expect(connect).type.toBeCallableWith(Fastify({ logger: { level: 'silent' } }), { userId: 'u' })
    expect(connect).type.not.toBeCallableWith({}, { userId: 'u' })
  })

  test('requires a user', () => {
    expect(connect).type.not.toBeCallableWith(app, {})
    expect(connect).type.toBeCallableWith(app, { userId: 'u', chat: { workflow: 'w', appId: 'a', chatId: 'c' }, headers: { a: 'b' } })
    expect(connect).type.not.toBeCallableWith(app, { userId: 'u', chat: { workflow: 'w' } })
  })
})

describe('a socket', () => {
  test('resolves with the data of the requested type', () => {
    expect(socket.next('chat_message')).type.toBe<Promise<Envelope<'chat_message'>>>()
    expect(socket.next('notification').then(({ data }) => data.title)).type.toBe<Promise<string>>()
    expect(socket.next()).type.toBe<Promise<Envelope>>()
    expect(socket.ack.user_id).type.toBe<string>()
  })
})

describe('a fake client', () => {
  test('sets who is present', () => {
    expect(fakeClient().channelOf('board', 'b1').setPresence).type.toBeCallableWith([{ userId: 'ada', connections: [{ id: '1', data: { x: 1 } }] }])
    expect(fakeClient().setPresence).type.toBeCallableWith([], { count: 900, isStale: true })
    expect(fakeClient().setPresence).type.not.toBeCallableWith([{ user_id: 'ada', connections: [] }])
  })

  test('is a RealtimeClient', () => {
    expect(fakeClient()).type.toBeAssignableTo<RealtimeClient>()
  })

  test('emits known types with their data, and unknown types with any data', () => {
    expect(fakeClient().emit).type.toBeCallableWith('notification', { title: 'x' })
    expect(fakeClient().emit).type.toBeCallableWith('my_own', 5)
    expect(fakeClient().emit).type.toBeCallableWith('connection_lost', undefined, { id: 'u.a.1' })
    expect(fakeClient().emit).type.not.toBeCallableWith('notification', { titel: 'x' })
  })
})

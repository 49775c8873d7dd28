import { describe, expect, test } from 'tstyche'
import { Type } from '@sinclair/typebox'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import realtime, { MemoryBroker, errors, realtime as named, tokenOf } from '../../lib/index.js'
import type { Authorize, Realtime, RealtimeConnection, RealtimeOptions, Stats, Target } from '../../lib/index.js'

declare const app: FastifyInstance

describe('register', () => {
  test('accepts the plugin with its options', () => {
    expect(app.register).type.toBeCallableWith(realtime)
    expect(app.register).type.toBeCallableWith(realtime, {})
    expect(app.register).type.toBeCallableWith(realtime, { prefix: '/live', logLevel: 'warn' as const })
    expect(named).type.toBe<typeof realtime>()
  })

  test('refuses unknown options', () => {
    expect(app.register).type.not.toBeCallableWith(realtime, { authentificate: () => null })
    expect(app.register).type.not.toBeCallableWith(realtime, { limits: { frames: 1 } })
  })
})

describe('RealtimeOptions', () => {
  test('every option is optional, in a section too', () => {
    expect<RealtimeOptions>().type.toBeAssignableFrom<{}>()
    expect<RealtimeOptions>().type.toBeAssignableFrom<{
      prefix: string,
      insecure: boolean,
      strict: boolean,
      allowedOrigins: string[],
      history: { size: number },
      heartbeat: { interval: number },
      limits: { frame: number },
      timeouts: { drain: number }
    }>()
  })

  test('refuses values of a wrong type', () => {
    expect<RealtimeOptions>().type.not.toBeAssignableFrom<{ prefix: number }>()
    expect<RealtimeOptions>().type.not.toBeAssignableFrom<{ insecure: string }>()
    expect<RealtimeOptions>().type.not.toBeAssignableFrom<{ allowedOrigins: string }>()
    expect<RealtimeOptions>().type.not.toBeAssignableFrom<{ history: number }>()
    expect<RealtimeOptions>().type.not.toBeAssignableFrom<{ timeouts: { drain: string } }>()
    expect<RealtimeOptions>().type.not.toBeAssignableFrom<{ broker: { publish: () => void } }>()
    expect<RealtimeOptions>().type.not.toBeAssignableFrom<{ messages: { x: string } }>()
  })

  test('accepts a broker and schemas', () => {
    const options: RealtimeOptions = {
      broker: new MemoryBroker({ size: 1, ttl: 1, lag: 1, bytes: 1 }),
      messages: { order_shipped: Type.Object({ order_id: Type.String() }) }
    }
    expect(app.register).type.toBeCallableWith(realtime, options)
  })
})

describe('hooks', () => {
  type Hook<K extends keyof RealtimeOptions> = NonNullable<RealtimeOptions[K]>

  test('authenticate returns an identity or nothing, directly or as a promise', () => {
    expect<Hook<'authenticate'>>().type.toBeAssignableFrom<(request: FastifyRequest) => { userId: string }>()
    expect<Hook<'authenticate'>>().type.toBeAssignableFrom<() => Promise<{ userId: string, expiresAt: Date, role: string } | null>>()
    expect<Hook<'authenticate'>>().type.toBeAssignableFrom<() => undefined>()
    expect<Hook<'authenticate'>>().type.not.toBeAssignableFrom<() => string>()
    expect<Hook<'authenticate'>>().type.not.toBeAssignableFrom<() => { userId: number }>()
    expect<Hook<'authenticate'>>().type.not.toBeAssignableFrom<() => { user_id: string }>()
    expect<Hook<'authenticate'>>().type.not.toBeAssignableFrom<() => { userId: string, expiresAt: string }>()
    expect<Hook<'authenticate'>>().type.not.toBeAssignableFrom<(token: string) => { userId: string }>()
  })

  test('authorize returns a boolean or nothing', () => {
    expect<Hook<'authorize'>>().type.toBeAssignableFrom<() => boolean>()
    expect<Hook<'authorize'>>().type.toBeAssignableFrom<() => Promise<boolean | undefined>>()
    expect<Hook<'authorize'>>().type.not.toBeAssignableFrom<() => string>()
    expect<Parameters<Authorize>[1]>().type.toBe<Target>()
  })

  test('renew gets the token and its connection, and returns an identity or nothing', () => {
    expect<Hook<'renew'>>().type.toBeAssignableFrom<(token: string) => { userId: string, expiresAt: number }>()
    expect<Hook<'renew'>>().type.toBeAssignableFrom<(token: string, connection: RealtimeConnection) => Promise<null>>()
    expect<Hook<'renew'>>().type.not.toBeAssignableFrom<(request: FastifyRequest) => null>()
    expect<Hook<'renew'>>().type.not.toBeAssignableFrom<() => boolean>()
  })

  test('tokenOf has the type of the option extractToken of @fastify/jwt', () => {
    expect(tokenOf).type.toBeAssignableTo<(request: FastifyRequest) => string | void>()
  })

  test('a target narrows by its kind', () => {
    const target = {} as Target
    expect(target.userId).type.toBe<string>()
    expect(target).type.not.toHaveProperty('chatId')
    if (target.kind === 'chat') expect(target.chatId).type.toBe<string>()
  })

  test('onConnect and onDisconnect get the connection', () => {
    expect<Hook<'onConnect'>>().type.toBeAssignableFrom<(connection: RealtimeConnection, request: FastifyRequest) => Promise<void>>()
    expect<Hook<'onDisconnect'>>().type.toBeAssignableFrom<(connection: RealtimeConnection, close: { code: number, reason: string }) => void>()
    expect<Hook<'onConnect'>>().type.not.toBeAssignableFrom<(connection: string) => void>()
    expect<Hook<'onDisconnect'>>().type.not.toBeAssignableFrom<(connection: RealtimeConnection, code: number) => void>()
    expect<Hook<'onConnect'>>().type.not.toBeAssignableFrom<string>()
  })

  test('onMessage gets typed data for the known types', () => {
    const options: RealtimeOptions = {
      onMessage: {
        chat_message (message, connection) {
          expect(message.type).type.toBe<'chat_message'>()
          expect(message.data.content).type.toBe<string>()
          expect(message.data.agent).type.toBe<string | undefined>()
          expect(message.ref).type.toBe<string | number | undefined>()
          expect(connection).type.toBe<RealtimeConnection>()
        },
        async something_else (message) {
          expect(message.data).type.toBe<unknown>()
        }
      }
    }
    expect(app.register).type.toBeCallableWith(realtime, options)
    expect<Hook<'onMessage'>>().type.not.toBeAssignableFrom<{ chat_message: string }>()
  })
})

describe('fastify.ws', () => {
  test('is a property of the Fastify instance', () => {
    expect<FastifyInstance['ws']>().type.toBe<Realtime>()
    expect(app.ws.connections()).type.toBe<RealtimeConnection[]>()
    expect(app.ws.connections).type.toBeCallableWith('u')
    expect(app.ws.isOnline('u')).type.toBe<boolean | Promise<boolean>>()
    expect(app.ws.isOnline).type.not.toBeCallableWith()
    expect(app.ws.disconnectUser('u', 4403)).type.toBe<number>()
    expect(app.ws.disconnectUser).type.not.toBeCallableWith('u', 'forbidden')
    expect(app.ws.stats()).type.toBe<Stats>()
  })

  test('has no other members', () => {
    expect<keyof Realtime>().type.toBe<'sendToUser' | 'broadcast' | 'chat' | 'channel' | 'connections' | 'present' | 'isOnline' | 'disconnectUser' | 'stats'>()
  })

  test('returns read-only connections', () => {
    expect<keyof RealtimeConnection>().type.toBe<'id' | 'userId' | 'identity' | 'target' | 'send' | 'close'>()
    expect<RealtimeConnection>().type.not.toBe<{ -readonly [K in keyof RealtimeConnection]: RealtimeConnection[K] }>()
  })
})

describe('errors', () => {
  test('have codes of their own', () => {
    expect(new errors.CLOSING()).type.toBeAssignableTo<Error>()
    expect(new errors.CLOSING().code).type.toBe<'RT_ERR_CLOSING'>()
    expect(errors).type.not.toHaveProperty('NO_SUCH_ERROR')
  })
})

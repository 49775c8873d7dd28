import { Type } from '@sinclair/typebox'
import { describe, expect, test } from 'tstyche'
import type { FastifyInstance } from 'fastify'
import { defineChannel, type Member } from '../../lib/index.js'

export const board = defineChannel({
  authorize: ({ userId }) => userId === 'auditor' ? { presence: 'hidden' } : true,
  presence: { data: Type.Object({ cursor: Type.String() }), max: 10 }
})
export const plain = defineChannel({ authorize: () => true, presence: true })

// An app augments the module 'fastify-realtime' instead of this path.
declare module '../../lib/index.js' {
  interface Channels { board: typeof board, plain: typeof plain }
  interface ChatPresence { typing: boolean }
}

declare const app: FastifyInstance

describe('members', () => {
  test('have the data of the schema of their kind', () => {
    expect(app.ws.channel('board', 'b1').members()).type.toBe<Promise<Member<{ cursor: string }>[]>>()
    expect(app.ws.channel('plain', 'p1').members()).type.toBe<Promise<Member<unknown>[]>>()
  })

  test('of chats have the data of ChatPresence', () => {
    const address = { workflow: 'w', appId: 'a', chatId: 'c', userId: 'u' }
    expect(app.ws.chat(address).members()).type.toBe<Promise<Member<{ typing: boolean }>[]>>()
  })
})

describe('defineChannel', () => {
  test('takes true or options as presence', () => {
    const authorize = () => true
    expect(defineChannel).type.toBeCallableWith({ authorize, presence: {} })
    expect(defineChannel).type.not.toBeCallableWith({ authorize, presence: 'all' })
    expect(defineChannel).type.not.toBeCallableWith({ authorize, presence: { max: 'all' } })
    expect(defineChannel).type.not.toBeCallableWith({ authorize: () => ({ presence: 'shown' }) })
  })
})

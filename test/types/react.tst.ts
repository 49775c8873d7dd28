import type { TInteger, TObject, TString } from '@sinclair/typebox'
import { describe, expect, test } from 'tstyche'
import type { Member } from '../../lib/index.js'
import { useChannel, usePresence, useRequest, type Request } from '../../lib/react/index.js'

interface Board {
  messages: { moved: TObject<{ card: TString }>, move: TObject<{ card: TString, to: TString }> }
  answers: { move: TObject<{ version: TInteger }> }
  presence: { data: TObject<{ cursor: TString }>, max: number }
}

interface Plain {
  presence?: true | { data?: undefined, max?: number } | undefined
}

declare module '../../lib/index.js' {
  interface Channels { board: Board, plain: Plain, silent: {} }
  interface ChatPresence { typing: boolean }
}

describe('useChannel', () => {
  test('types the handlers, the messages and the answers of a kind', () => {
    const { status, send, request } = useChannel('board', 'b1', {
      moved (data, { channel }) {
        expect(data).type.toBe<{ card: string }>()
        expect(channel).type.toBe<string | undefined>()
      },
      '*': ({ type }) => expect(type).type.toBe<string>(),
      other: data => expect(data).type.toBe<unknown>()
    }, { onResume: ({ recovered }) => expect(recovered).type.toBe<boolean>() })
    expect(status).type.toBe<'idle' | 'connecting' | 'open' | 'waiting' | 'closed'>()
    expect(request('move', { card: 'c1', to: 'done' })).type.toBe<Promise<{ version: number }>>()
    expect(send).type.not.toBeCallableWith('move', { card: 1 })
  })

  test('takes an id that is unknown yet, and handlers of any other type', () => {
    expect(useChannel).type.toBeCallableWith('board', undefined)
    expect(useChannel).type.toBeCallableWith('board', 'b1', { other: (data: { x: number }) => data.x })
  })

  test('refuses an unknown kind, handlers with other data, and unknown options', () => {
    expect(useChannel).type.not.toBeCallableWith('boards', 'b1')
    expect(useChannel).type.not.toBeCallableWith('board', 'b1', { moved: (data: { card: number }) => data })
    expect(useChannel).type.not.toBeCallableWith('board', 'b1', { moved: 'x' })
    expect(useChannel).type.not.toBeCallableWith('board', 'b1', {}, { onResumed () {} })
  })
})

describe('usePresence', () => {
  test('types the own data of a kind, and of chats', () => {
    const { members, count, isStale, update } = usePresence('board', 'b1')
    expect(members).type.toBe<ReadonlyArray<Member<{ cursor: string }>>>()
    expect(members[0]?.connections[0]?.data).type.toBe<{ cursor: string } | undefined>()
    expect([count, isStale]).type.toBe<Array<number | boolean>>()
    expect(update).type.toBeCallableWith({ cursor: 'c1' })
    expect(update).type.toBeCallableWith(undefined)
    expect(update).type.not.toBeCallableWith({ cursor: 1 })
    expect(update).type.not.toBeCallableWith({})
    const chat = usePresence({ workflow: 'w', appId: 'a', chatId: undefined })
    expect(chat.members).type.toBe<ReadonlyArray<Member<{ typing: boolean }>>>()
    expect(chat.update).type.not.toBeCallableWith({ typing: 'yes' })
  })

  test('knows nothing of the data of a kind without a schema', () => {
    expect(usePresence('plain', 'p1').members).type.toBe<readonly Member[]>()
    expect(usePresence('silent', undefined).members).type.toBe<readonly Member[]>()
  })

  test('refuses unknown kinds and incomplete ids of a chat', () => {
    expect(usePresence).type.not.toBeCallableWith('boards', 'b1')
    expect(usePresence).type.not.toBeCallableWith('board')
    expect(usePresence).type.not.toBeCallableWith({ workflow: 'w', appId: 'a' })
  })
})

describe('useRequest', () => {
  test('returns request of the client', () => {
    expect(useRequest()).type.toBe<Request>()
  })
})

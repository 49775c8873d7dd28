import type { TInteger, TObject, TString } from '@sinclair/typebox'
import { describe, expect, test } from 'tstyche'
import type {} from '../../lib/index.js'
import { useChannel, useRequest, type Request } from '../../lib/react/index.js'

interface Board {
  messages: { moved: TObject<{ card: TString }>, move: TObject<{ card: TString, to: TString }> }
  answers: { move: TObject<{ version: TInteger }> }
}

declare module '../../lib/index.js' {
  interface Channels { board: Board }
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

describe('useRequest', () => {
  test('returns request of the client', () => {
    expect(useRequest()).type.toBe<Request>()
  })
})

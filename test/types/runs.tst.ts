import { describe, expect, test } from 'tstyche'
import type {
  AnswerPart, FilePart, MapEvent, PartWriter, Reply, Run, SavedMessage, SavedPart, SourcePart, StreamOptions, ToolCall, UserMessage
} from '../../lib/index.js'

declare const run: Run
declare const reply: Reply
declare const part: SavedPart

interface GraphEvent { event: 'token' | 'other', token: string }
declare const graph: AsyncIterable<GraphEvent>

describe('run.stream', () => {
  test('takes texts, parts, responses and results without map', () => {
    expect(run.stream({} as AsyncIterable<string>)).type.toBe<Promise<string>>()
    expect(run.stream).type.toBeCallableWith({} as ReadableStream<string>, { agent: 'clerk', onError: () => 'No.' })
    expect(run.stream).type.toBeCallableWith({} as AsyncIterable<AnswerPart>)
    expect(run.stream).type.toBeCallableWith(new Response())
    expect(run.stream).type.toBeCallableWith({ toUIMessageStream: () => new ReadableStream() })
  })

  test('needs map for other events, and map gets their type', () => {
    expect(run.stream).type.not.toBeCallableWith(graph)
    expect(run.stream(graph, { map: ({ event, token }) => event === 'token' ? token : undefined })).type.toBe<Promise<string>>()
    run.stream(graph, { map: event => { expect(event).type.toBe<GraphEvent>() } })
    run.stream({} as ReadableStream<GraphEvent>, { agent: 'clerk', map: event => { expect(event).type.toBe<GraphEvent>() } })
    expect(run.stream).type.toBeCallableWith(graph, { map: ({ token }: GraphEvent) => [token, { kind: 'reasoning', text: token }] as const })
  })

  test('refuses a map of other events, or with a result that is no part', () => {
    expect(run.stream).type.not.toBeCallableWith(graph, { map: (event: { no: string }) => event.no })
    expect(run.stream).type.not.toBeCallableWith(graph, { map: () => 5 })
    expect(run.stream).type.not.toBeCallableWith(graph, { map: async () => 'text' })
    expect(run.stream).type.not.toBeCallableWith(graph, { map: () => ({ kind: 'image' as const }) })
    expect<MapEvent<GraphEvent>>().type.toBe<(event: GraphEvent) => string | AnswerPart | ReadonlyArray<string | AnswerPart> | undefined>()
    expect<StreamOptions>().type.not.toHaveProperty('map')
  })
})

describe('the parts of an answer', () => {
  test('have the fields of their kinds', () => {
    expect<AnswerPart>().type.toBeAssignableFrom<{ text: string }>()
    expect<AnswerPart>().type.toBeAssignableFrom<{ kind: 'tool', id: string, name: string, args: { q: number } }>()
    expect<AnswerPart>().type.not.toBeAssignableFrom<{ kind: 'tool', name: string }>()
    expect<AnswerPart>().type.not.toBeAssignableFrom<{ kind: 'source', value: { url: number } }>()
    expect<SourcePart>().type.toBeAssignableFrom<{ url: string }>()
    expect<FilePart>().type.not.toBeAssignableFrom<{ url: string }>()
  })

  test('are written by a reply, and by a run', () => {
    expect(reply.reasoning()).type.toBe<PartWriter>()
    expect(run.reasoning({ fields: { a: 1 } })).type.toBe<PartWriter>()
    expect(reply.call('find', { id: 'c' })).type.toBe<ToolCall>()
    expect(reply.call).type.not.toBeCallableWith()
    expect(reply.source).type.toBeCallableWith({ title: 'A', media_type: 'text/plain' })
    expect(reply.source).type.not.toBeCallableWith('https://a.example')
    expect(run.file).type.not.toBeCallableWith({ url: 'data:,' })
    expect(run.data('chart', { n: 1 }, { id: 'd', isTransient: true })).type.toBe<Promise<void>>()
    expect(reply.metadata({ tokens: 1 })).type.toBe<Promise<void>>()
    expect(reply.write).type.not.toBeCallableWith(5)
  })

  test('are saved, and narrow by their kind', () => {
    expect(reply.parts).type.toBe<SavedPart[]>()
    expect<SavedMessage['parts']>().type.toBe<SavedPart[] | undefined>()
    if (part.kind === 'text' || part.kind === 'reasoning') expect(part.text).type.toBe<string>()
    if (part.kind === 'tool') expect(part.name).type.toBe<string>()
    expect(part.part_id).type.toBe<string>()
    expect<UserMessage['data']>().type.toBe<Readonly<Record<string, unknown>>>()
  })
})

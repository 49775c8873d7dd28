import { ignoreRejection } from '../../server/reports/caught.js'
import type { AnswerPart, MapEvent } from '../hooks.js'
import { readerOf } from './reader.js'

/** Iterates the pieces of a source; `return` stops the source. Throws a TypeError when it is not a source. */
export function piecesOf (source: unknown, map?: MapEvent<any>): AsyncIterator<string | AnswerPart> {
  const events = iteratorOf(source)
  const ready: unknown[] = []
  return {
    async next () {
      while (ready.length === 0) {
        const { done, value } = await events.next()
        if (done === true) return { done, value: undefined }
        if (map === undefined) return { done: false, value: checked(value) }
        ready.push(...[map(value) ?? []].flat())
      }
      return { done: false, value: checked(ready.shift()) }
    },
    async return () {
      await events.return?.()
      return { done: true, value: undefined }
    }
  }
}

function iteratorOf (source: unknown): AsyncIterator<unknown> {
  if (typeof source === 'object' && source !== null) {
    // Checked first, because the iterator of a stream only stops once the part that it waits for has arrived.
    if ('getReader' in source) return readerOf(source as ReadableStream<unknown>)
    if (Symbol.asyncIterator in source) return checkedIterator((source as AsyncIterable<unknown>)[Symbol.asyncIterator]())
  }
  if (ignoreRejection(source)) throw new TypeError("'stream' takes a source, not a promise of one: await it")
  throw new TypeError("'stream' takes an AsyncIterable or a ReadableStream of strings or of { text }, a result of the AI SDK's streamText, or a Response of chat completions")
}

/** Throws a TypeError when the iterator is a promise: the source is an async function instead of an async generator. */
function checkedIterator (iterator: AsyncIterator<unknown>): AsyncIterator<unknown> {
  if (ignoreRejection(iterator)) throw new TypeError('the iterator of the source is a promise: use a generator, async function *')
  return iterator
}

const kinds = ['text', 'reasoning', 'tool', 'source', 'file', 'data', 'step', 'metadata']

function checked (piece: unknown): string | AnswerPart {
  if (typeof piece === 'string') return piece
  const { kind = 'text', text } = Object(piece)
  const needsText = kind === 'text' || kind === 'reasoning'
  if (kinds.includes(kind) && (typeof text === 'string' || (!needsText && text === undefined) || kind === 'data')) return piece as AnswerPart
  throw new TypeError("a part of the source is neither a string nor { text } nor a part of a known kind. Pass the result of streamText itself instead of its fullStream. Turn other events into parts with the option 'map'")
}

import { ignoreRejection } from '../../server/reports/caught.js'
import type { TextSource } from '../hooks.js'

/** Iterates the texts of a source; `return` stops the source. Throws a TypeError when it is not a source. */
export function textsOf (source: TextSource): AsyncIterator<string> {
  const parts = iteratorOf(source)
  return {
    async next () {
      const { done, value } = await parts.next()
      return done === true ? { done, value: undefined } : { done: false, value: textOf(value) }
    },
    async return () {
      await parts.return?.()
      return { done: true, value: undefined }
    }
  }
}

type TextPiece = string | { text: string }

function iteratorOf (source: TextSource): AsyncIterator<TextPiece> {
  if (typeof source === 'object' && source !== null) {
    // Checked first, because the iterator of a stream only stops once the part that it waits for has arrived.
    if ('getReader' in source) return readerOf(source as ReadableStream<TextPiece>)
    if (Symbol.asyncIterator in source) return checked(source[Symbol.asyncIterator]() as AsyncIterator<TextPiece>)
  }
  if (ignoreRejection(source)) throw new TypeError("'stream' takes a source, not a promise of one: await it")
  throw new TypeError("'stream' takes an AsyncIterable or a ReadableStream of strings or of { text }")
}

/** Throws a TypeError when the iterator is a promise: the source is an async function instead of an async generator. */
function checked (iterator: AsyncIterator<TextPiece>): AsyncIterator<TextPiece> {
  if (ignoreRejection(iterator)) throw new TypeError('the iterator of the source is a promise: use a generator, async function *')
  return iterator
}

function readerOf (stream: ReadableStream<TextPiece>): AsyncIterator<TextPiece> {
  const reader = stream.getReader()
  return {
    next: async () => {
      const { done, value } = await reader.read()
      return done ? { done: true, value: undefined } : { done: false, value }
    },
    return: async () => {
      await reader.cancel()
      return { done: true, value: undefined }
    }
  }
}

function textOf (part: unknown): string {
  const text = typeof part === 'object' && part !== null ? (part as { text?: unknown }).text : part
  if (typeof text !== 'string') throw new TypeError('a part of the source is neither a string nor { text }')
  return text
}

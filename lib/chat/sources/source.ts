import type { AnswerSource, MapEvent, Reply, StreamOptions } from '../hooks.js'
import { CompletionParts, isResponse } from './completions.js'
import { PieceWriter } from './piece-writer.js'
import { piecesOf } from './pieces.js'
import { failure, isResult, modelFailed, uiChunksOf } from './ui-chunks.js'
import { UiWriter } from './ui-writer.js'

/** Source that is being read: its pieces, and what writes them. */
export interface OpenSource {
  readonly pieces: AsyncIterator<any>
  writerOf (reply: Reply): { write (piece: any): void | Promise<void> }
}

/** Opens a source of any type. Throws a TypeError when it is none. */
export function openSource (
  source: AnswerSource | AsyncIterable<any> | ReadableStream<any>, options: StreamOptions & { map?: MapEvent<any> } = {}
): OpenSource {
  const { map, onError } = options
  const given = Object(source)
  if (isResult(given)) return { pieces: uiChunksOf(given, { onError }), writerOf: reply => new UiWriter(reply) }
  const pieces = isResponse(given) ? failing(new CompletionParts(given), onError) : piecesOf(source, map)
  return { pieces, writerOf: reply => new PieceWriter(reply) }
}

/** Turns the errors of a model into RT_ERR_ANSWER_FAILED. */
function failing (parts: CompletionParts, onError: (error: unknown) => string = () => modelFailed): AsyncIterator<unknown> {
  return {
    next: () => parts.next().catch(error => { throw failure(error, onError(error)) }),
    return: () => parts.return()
  }
}

import { errors } from '../../errors.js'
import type { UiChunk, UiResult } from '../hooks.js'
import { readerOf } from './reader.js'

/** Texts for users when a model fails, and when one of its tools does. */
export const modelFailed = 'The model could not finish this answer'
const toolFailed: Partial<Record<string, string>> = { 'tool-output-error': 'The tool failed', 'tool-input-error': 'The model called the tool wrongly' }

export interface UiChunksOptions {
  /** Returns the text that users see when the model, or a tool that the AI SDK runs, fails. */
  onError?: ((error: unknown) => string) | undefined
  /** Returns the metadata of the message for a part of the model's stream. Default: usage and finish reason, when the model is done. */
  messageMetadata?: ((options: { part: any }) => unknown) | undefined
}

/** Chunks that a model need not send anything for. */
export const frame = ['start', 'start-step', 'finish-step', 'finish', 'message-metadata']

const usageOf = ({ part }: { part: any }) =>
  part.type === 'finish' ? { usage: part.totalUsage, finishReason: part.finishReason } : undefined

/** Whether a source is a result of the AI SDK's `streamText`, or of an agent. */
export function isResult (source: object): source is UiResult {
  return typeof (source as UiResult).toUIMessageStream === 'function'
}

/**
 * Iterates the chunks of a result of the AI SDK, or of a stream of chunks; `return` cancels it. Throws RT_ERR_ANSWER_FAILED, whose `cause`
 * is the error of the model, when the model fails, when its stream is aborted, and when a result has no content.
 */
export function uiChunksOf (source: UiResult | ReadableStream<UiChunk>, options: UiChunksOptions = {}): AsyncIterator<UiChunk> {
  const { onError = () => modelFailed, messageMetadata = usageOf } = options
  let cause: unknown
  let hasContent = 'getReader' in source
  const chunks = readerOf<UiChunk>('getReader' in source
    ? source
    : source.toUIMessageStream({
      sendReasoning: true,
      sendSources: true,
      messageMetadata,
      onError: (error: unknown) => {
        cause = error
        return onError(error)
      }
    }))
  return {
    async next () {
      const next = await chunks.next().catch(error => { throw failure(error, onError(error)) })
      if (next.done === true) {
        if (!hasContent) throw fail(new Error('the model sent nothing'))
        return next
      }
      const { type, errorText, reason } = next.value
      const toolText = errorText === modelFailed ? toolFailed[type] : undefined
      if (toolText !== undefined) return { done: false, value: { ...next.value, errorText: toolText } }
      if (type === 'error') throw failure(cause ?? new Error(errorText), errorText)
      if (type === 'abort') throw fail(new Error(['the stream was aborted', reason].filter(Boolean).join(': ')))
      hasContent ||= !frame.includes(type)
      return next
    },
    return: () => chunks.return!()
  }

  function fail (error: Error): Error {
    return failure(error, onError(error))
  }
}

/** Error of a model: `message` is for users, and `cause` is for the log. */
export function failure (cause: unknown, message: string): Error {
  return Object.assign(new errors.ANSWER_FAILED(message), { cause })
}

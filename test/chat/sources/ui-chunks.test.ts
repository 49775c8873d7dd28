import t from 'tap'
import { isResult, uiChunksOf, type UiChunksOptions } from '../../../lib/chat/sources/ui-chunks.js'
import type { UiChunk } from '../../../lib/index.js'

const streamOf = (...chunks: UiChunk[]) => new ReadableStream<UiChunk>({
  start (controller) {
    for (const chunk of chunks) controller.enqueue(chunk)
    controller.close()
  }
})

async function read (source: Parameters<typeof uiChunksOf>[0], options?: UiChunksOptions) {
  const chunks = uiChunksOf(source, options)
  const types: string[] = []
  try {
    for (let next = await chunks.next(); next.done !== true; next = await chunks.next()) types.push(next.value.type)
    return { types }
  } catch (error) {
    const { code, message, cause } = error as Error & { code: string, cause: Error }
    return { types, code, message, cause: cause.message }
  }
}

t.test('a result of the AI SDK is read with all that it has', async t => {
  let asked: any
  const result = { toUIMessageStream: (options: object) => { asked = options; return streamOf({ type: 'start' }, { type: 'file', url: 'u' }) } }
  t.equal(isResult(result), true)
  t.equal(isResult({ toUIMessageStream: 1 }), false)
  t.strictSame(await read(result), { types: ['start', 'file'] })
  t.match(asked, { sendReasoning: true, sendSources: true })
  t.strictSame(asked.messageMetadata({ part: { type: 'finish', totalUsage: 1, finishReason: 'stop' } }), { usage: 1, finishReason: 'stop' })
  t.equal(asked.messageMetadata({ part: { type: 'start' } }), undefined)
})

t.test('each failure of a model is RT_ERR_ANSWER_FAILED with a text for users and a cause for the log', async t => {
  const code = 'RT_ERR_ANSWER_FAILED'
  const failing = { toUIMessageStream: ({ onError }: any) => streamOf({ type: 'file' }, { type: 'error', errorText: onError(new Error('429')) }) }
  const message = 'The model could not finish this answer'
  t.strictSame(await read(failing), { types: ['file'], code, message, cause: '429' })
  t.strictSame(await read(failing, { onError: error => `Failed: ${(error as Error).message}` }), { types: ['file'], code, message: 'Failed: 429', cause: '429' })
  t.strictSame(await read(streamOf({ type: 'error', errorText: 'No.' })), { types: [], code, message: 'No.', cause: 'No.' })
  t.strictSame(await read(streamOf({ type: 'abort', reason: 'too slow' })), { types: [], code, message, cause: 'the stream was aborted: too slow' })
  t.strictSame(await read(streamOf({ type: 'abort' })), { types: [], code, message, cause: 'the stream was aborted' })
  t.strictSame(await read(new ReadableStream({ start (controller) { controller.error(new Error('broken')) } })), { types: [], code, message, cause: 'broken' })
})

t.test('the error of a tool has a text of its own, or that of onError', async t => {
  const errors = ['tool-output-error', 'tool-input-error']
  const failing = { toUIMessageStream: ({ onError }: any) => streamOf(...errors.map(type => ({ type, toolCallId: 'c', errorText: onError(new Error('secret')) }))) }
  const textsOf = async (options?: UiChunksOptions) => {
    const chunks = uiChunksOf(failing, options)
    return [await chunks.next(), await chunks.next()].map(({ value }) => value)
  }
  t.match(await textsOf(), [{ toolCallId: 'c', errorText: 'The tool failed' }, { toolCallId: 'c', errorText: 'The model called the tool wrongly' }])
  t.match(await textsOf({ onError: error => `${error}` }), [{ errorText: 'Error: secret' }, { errorText: 'Error: secret' }])
})

t.test('a result without content is a failure; a stream of chunks without content is not', async t => {
  const nothing = () => streamOf(...['start', 'start-step', 'finish-step', 'message-metadata', 'finish'].map(type => ({ type })))
  t.match(await read({ toUIMessageStream: nothing }), { cause: 'the model sent nothing' })
  t.equal((await read(nothing())).cause, undefined)
})

t.test('return cancels the stream', async t => {
  let isCancelled = false
  await uiChunksOf(new ReadableStream({ cancel () { isCancelled = true } })).return!()
  t.equal(isCancelled, true)
})

import { Type } from '@sinclair/typebox'
import { convertToModelMessages, readUIMessageStream, type ModelMessage, type UIMessage, type UIMessageChunk } from 'ai'
import type { Run, SavedMessage, UiResult } from '../chat/hooks.js'
import { uiChunksOf } from '../chat/sources/ui-chunks.js'
import { UiWriter, type ApprovalRequest } from '../chat/sources/ui-writer.js'
import { errors } from '../errors.js'
import { FollowedRun } from './ai-sdk/run.js'
import { UiStream } from './ai-sdk/ui-stream.js'

export type { UiResult }

type Awaitable<T> = T | PromiseLike<T>
/** @inline */
type Source = Awaitable<UiResult | ReadableStream<UIMessageChunk>>

export interface StreamUiOptions {
  /** Messages of the conversation so far, with the one to answer. The function gets them as model messages. Default: none. */
  messages?: UIMessage[] | undefined
  /** Name of the agent that writes. Default: none. */
  agent?: string | undefined
  /** Returns the text that users see when the model fails. Default: a text without details. */
  onError?: ((error: unknown) => string) | undefined
  /** Returns the metadata of the message for a part of the model's stream. Default: usage and finish reason, when the model is done. */
  messageMetadata?: ((options: { part: any }) => unknown) | undefined
  /** Maximum number of times that the function is called, which is once more for each pause for approvals. Default: 20. */
  maxSteps?: number | undefined
  /** Time to wait for an approval, in ms. Then it counts as denied. Default: as long as the run. */
  approvalTimeout?: number | undefined
}

const Approval = Type.Object({ approved: Type.Boolean(), reason: Type.Optional(Type.String()) })

/**
 * Writes a stream of the AI SDK into one reply of a run, with all its parts. `source`: a result of `streamText` or of an agent, a stream of
 * UI message chunks, or a function that returns one, which is called again after approvals. Pass `run.signal` to the model.
 * Resolves when the answer is stored. Rejects with RT_ERR_ANSWER_FAILED, whose message is for users and whose `cause` is the error of
 * the model, and with RT_ERR_RUN_ENDED when the run ends first.
 */
export async function streamUI (
  run: Run, source: Source | ((messages: ModelMessage[]) => Source), options: StreamUiOptions = {}
): Promise<void> {
  const { agent, messages = [], maxSteps = 20 } = options
  const reply = run.reply({ agent })
  const writer = new UiWriter(reply)
  let answer: UIMessage | undefined
  try {
    for (let step = 1; ; step++) {
      const known = [...messages, ...answer === undefined ? [] : [answer]]
      const given = typeof source === 'function' ? source(await convertToModelMessages(known)) : source
      answer = await write(run, writer, await given, answer, options)
      const requests = writer.requests.splice(0)
      if (requests.length === 0 || typeof source !== 'function' || step >= maxSteps || run.signal.aborted) break
      await approve(run, writer, requests, answer, options)
    }
    await reply.end()
  } catch (error) {
    await reply.fail()
    throw error
  }
}

/** Asks for the approvals, and adds the answers to the message. */
async function approve (run: Run, writer: UiWriter, requests: ApprovalRequest[], answer: UIMessage, options: StreamUiOptions) {
  const asked = requests.map(({ toolCallId, toolName, chunk }) => {
    const about = { callId: toolCallId, fields: { ai_sdk: chunk } }
    const question = { prompt: `Run ${toolName}?`, schema: Approval, component: 'tool-approval', ...about }
    return run.ask(question, { timeout: options.approvalTimeout })
      .catch(error => {
        if (error instanceof errors.NO_ANSWER) return { approved: false, reason: 'timeout' }
        throw error
      })
  })
  await writer.wait(true)
  const answers = await Promise.all(asked)
  await writer.wait(false)
  for (const [at, { chunk: { approvalId } }] of requests.entries()) {
    await writer.write({ type: 'tool-approval-response', approvalId, ...answers[at] } as object as UIMessageChunk)
  }
  for (const [at, { toolCallId, chunk }] of requests.entries()) {
    const part = answer.parts.find(part => 'toolCallId' in part && part.toolCallId === toolCallId)
    if (part !== undefined) Object.assign(part, { state: 'approval-responded', approval: { id: chunk.approvalId, ...answers[at] } })
  }
}

/** Writes one stream. Returns the message so far, as the AI SDK builds it. */
async function write (
  run: Run, writer: UiWriter, given: UiResult | ReadableStream<UIMessageChunk>, before: UIMessage | undefined, options: StreamUiOptions
): Promise<UIMessage> {
  const chunks = uiChunksOf(given, options) as AsyncIterator<UIMessageChunk>
  const stop = () => { chunks.return!().catch(() => {}) }
  run.signal.addEventListener('abort', stop, { once: true })
  const copy = new TransformStream<UIMessageChunk, UIMessageChunk>(undefined, { highWaterMark: Infinity }, { highWaterMark: Infinity })
  const built = lastOf(readUIMessageStream({ stream: copy.readable, ...before !== undefined && { message: before }, onError: () => {} }))
  const sink = copy.writable.getWriter()
  try {
    for (let next = await chunks.next(); next.done !== true && !run.signal.aborted; next = await chunks.next()) {
      sink.write(next.value).catch(() => {})
      await writer.write(next.value)
    }
  } catch (error) {
    stop()
    throw error
  } finally {
    run.signal.removeEventListener('abort', stop)
    sink.close().catch(() => {})
  }
  return await built ?? before ?? { id: run.id, role: 'assistant', parts: [] }
}

async function lastOf (messages: AsyncIterable<UIMessage>): Promise<UIMessage | undefined> {
  let last: UIMessage | undefined
  for await (const message of messages) last = message
  return last
}

type Data = Record<string, any>

/**
 * Returns saved messages as messages of the AI SDK, with the ids that `useChat` has: that of the run for an answer, and that of the
 * message for a user's. The replies of one run are one message. `convertToModelMessages` of the AI SDK makes model messages of them.
 */
export async function messagesOf (history: readonly SavedMessage[]): Promise<UIMessage[]> {
  const messages: UIMessage[] = []
  const runs = new Map<string, FollowedRun>()
  const places: Array<UIMessage | FollowedRun> = []
  for (const message of history) {
    const { role = 'assistant', message_id: id, run_id: runId = id, content, ui_message: given } = message as SavedMessage & Data
    if (role !== 'assistant') {
      const parts = given?.role === 'user' && Array.isArray(given.parts) ? given.parts : [{ type: 'text', text: content }]
      const metadata = given?.metadata
      places.push({ id, role: role === 'system' ? 'system' : 'user', parts, ...metadata !== undefined && { metadata } } as UIMessage)
      continue
    }
    const run = runs.get(runId) ?? new FollowedRun(runId)
    if (!runs.has(runId)) places.push(run)
    runs.set(runId, run)
    replay(run, message)
  }
  for (const place of places) {
    if (!(place instanceof FollowedRun)) {
      messages.push(place)
      continue
    }
    place.end({ status: 'complete' })
    const stream = new UiStream()
    stream.read(place)
    const message = await lastOf(readUIMessageStream({ stream: stream.stream }))
    if (message !== undefined) messages.push(message)
  }
  return messages
}

/** Applies a saved message to a run, as the publications that the log has of it. */
function replay (run: FollowedRun, { parts, metadata, ...message }: SavedMessage): void {
  const { message_id: messageId, status, timestamp } = message
  const about = { run_id: run.id, message_id: messageId, status }
  const apply = (type: string, data: Data) => run.apply({ type, data: { ...about, ...data }, timestamp } as never)
  if (parts === undefined) return apply('chat_message', message)
  for (const part of parts as Data[]) {
    const { kind, part_id: partId, text, ...rest } = part
    if (kind === 'text') apply('chat_message', { status: 'complete', ...rest, message_id: partId, content: text })
    else if (kind === 'tool') {
      if ('args' in rest) apply('tool_call', { ...rest, call_id: partId })
      if (rest.status !== undefined) apply('tool_output', { ...rest, call_id: partId })
    } else apply('chat_part', { status: 'complete', ...part })
  }
  if (metadata !== undefined) apply('chat_part', { part_id: 'message', kind: 'message', value: metadata })
}

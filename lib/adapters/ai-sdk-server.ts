import { Type } from '@sinclair/typebox'
import { convertToModelMessages, type ModelMessage, type UIMessage, type UIMessageChunk } from 'ai'
import type { Run, UiResult } from '../chat/hooks.js'
import { uiChunksOf } from '../chat/sources/ui-chunks.js'
import { UiWriter, type ApprovalRequest, type Continuation } from '../chat/sources/ui-writer.js'
import { errors } from '../errors.js'
import { answerOf } from './ai-sdk/saved.js'

export { messagesOf } from './ai-sdk/saved.js'
export type { UiResult }

type Awaitable<T> = T | PromiseLike<T>
/** @inline */
type UiSource = Awaitable<UiResult | ReadableStream<UIMessageChunk>>

export interface StreamUiOptions {
  /** Messages of the conversation so far, with the one to answer. The function gets them as model messages. Default: none. */
  messages?: UIMessage[] | undefined
  /** Name of the agent that writes. Default: none. */
  agent?: string | undefined
  /** Returns the text that users see when the model, or a tool that the AI SDK runs, fails. Default: a text without details. */
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
  run: Run, source: UiSource | ((messages: ModelMessage[]) => UiSource), options: StreamUiOptions = {}
): Promise<void> {
  const { agent, messages = [], maxSteps = 20 } = options
  const reply = run.reply({ agent })
  const writer = new UiWriter(reply, continuationOf(messages.at(-1)))
  try {
    let known = messages
    for (let step = 1; ; step++) {
      const given = typeof source === 'function' ? source(await convertToModelMessages(known, { ignoreIncompleteToolCalls: true })) : source
      await write(run, writer, await given, options)
      const requests = writer.requests.splice(0)
      if (requests.length === 0 || typeof source !== 'function' || step >= maxSteps || run.signal.aborted) break
      const answer = await answerOf(run.id, reply.parts)
      await approve(run, writer, requests, answer, options)
      known = [...messages, answer]
    }
    await reply.end()
  } catch (error) {
    await reply.fail()
    throw error
  }
}

/** Returns what the page has added to a message that the answer continues: the outputs and approvals of its last step. */
function continuationOf (message: UIMessage | undefined): Continuation | undefined {
  if (message?.role !== 'assistant') return undefined
  const step = message.parts.slice(message.parts.findLastIndex(({ type }) => type === 'step-start') + 1)
  const tools = step.flatMap(part => {
    if (!('toolCallId' in part) || part.providerExecuted === true || !answered.includes(part.state)) return []
    const { toolCallId, state, output, errorText, approval } = part
    return [{ toolCallId, state, output, errorText, approval }]
  })
  return { id: message.id, tools }
}

/** States of a call that a page has answered. */
const answered = ['output-available', 'output-error', 'approval-responded']

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

/** Writes one stream. */
async function write ({ signal }: Run, writer: UiWriter, given: Awaited<UiSource>, options: StreamUiOptions): Promise<void> {
  const chunks = uiChunksOf(given, options) as AsyncIterator<UIMessageChunk>
  const stop = () => { chunks.return!().catch(() => {}) }
  signal.addEventListener('abort', stop)
  try {
    for (let next = await chunks.next(); next.done !== true && !signal.aborted; next = await chunks.next()) await writer.write(next.value)
  } catch (error) {
    stop()
    throw error
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

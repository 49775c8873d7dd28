import { readUIMessageStream, type UIMessage } from 'ai'
import type { SavedMessage, SavedPart } from '../../chat/hooks.js'
import { messageIdOf } from '../../protocol/message-id.js'
import { FollowedRun } from './run.js'
import type { ContinuedMessage } from './run-parts.js'
import { UiStream } from './ui-stream.js'

type Data = Record<string, any>

/**
 * Returns saved messages as messages of the AI SDK, with the ids that `useChat` has: that of the run for an answer, and that of the
 * message for a user's. The replies of one run are one message, and so are an answer and its continuation. `convertToModelMessages` of
 * the AI SDK makes model messages of them.
 */
export async function messagesOf (history: readonly SavedMessage[]): Promise<UIMessage[]> {
  const runs = new Map<string, FollowedRun>()
  const places: Array<UIMessage | FollowedRun> = []
  const said = new Map<string, string>()
  for (const message of history) {
    const { role = 'assistant', message_id: id, run_id: runId = id, content, repeats, user_id: userId } = message as SavedMessage & Data
    if (role !== 'assistant') {
      const isAgain = repeats !== undefined && [repeats, messageIdOf(repeats, `${userId}`, '')].some(id => said.get(id) === content)
      if (!isAgain) places.push(saidBy(message))
      said.set(id, content)
      // The first one may not have arrived.
      if (repeats !== undefined) said.set(repeats, content)
      continue
    }
    const run = runs.get(runId) ?? new FollowedRun(runId)
    if (!runs.has(runId)) places.push(run)
    runs.set(runId, run)
    replay(run, message)
  }
  const messages: UIMessage[] = []
  for (const place of places) {
    if (place instanceof FollowedRun) await add(messages, place)
    else messages.push(place)
  }
  return messages
}

/** Adds the message of a run, or continues the message that the run continues. */
async function add (messages: UIMessage[], run: FollowedRun): Promise<void> {
  const { continuation } = run
  const at = messages.findLastIndex(({ id }) => id === continuation?.id)
  const message = await built(run, at === -1 ? undefined : withAnswers(messages[at], continuation!.tools))
  if (message !== undefined) messages.splice(at === -1 ? messages.length : at, 1, message)
}

/** Returns a message with the outputs and approvals that its page has added to open tool calls. */
function withAnswers (message: UIMessage, tools: ContinuedMessage['tools']): UIMessage {
  const parts = message.parts.map(part => {
    const isLeft = 'toolCallId' in part && (part.state === 'input-available' || part.state === 'approval-requested')
    const answer = isLeft ? tools.find(({ toolCallId }) => toolCallId === part.toolCallId) : undefined
    return answer === undefined ? part : { ...part, ...answer } as typeof part
  })
  return { ...message, parts }
}

/** Returns an answer that is being written as a message of the AI SDK. */
export async function answerOf (runId: string, parts: readonly SavedPart[]): Promise<UIMessage> {
  const run = new FollowedRun(runId)
  replayParts(run, { message_id: runId }, parts)
  return await built(run) ?? { id: runId, role: 'assistant', parts: [] }
}

function saidBy ({ message_id: id, role, content, ui_message: given }: SavedMessage & Data): UIMessage {
  const parts = given?.role === 'user' && Array.isArray(given.parts) ? given.parts : [{ type: 'text', text: content }]
  const metadata = given?.metadata
  return { id, role: role === 'system' ? 'system' : 'user', parts, ...metadata !== undefined && { metadata } }
}

/** Builds the message of a run like the AI SDK. `continued`: message that the run continues. */
async function built (run: FollowedRun, continued?: UIMessage): Promise<UIMessage | undefined> {
  run.end({ status: 'complete' })
  const stream = new UiStream(continued?.id)
  stream.read(run)
  let last = continued
  for await (const message of readUIMessageStream({ stream: stream.stream, ...continued && { message: continued } })) last = message
  return last
}

/** Applies a saved message to a run, as the publications that the log has of it. */
function replay (run: FollowedRun, { parts, metadata, ...message }: SavedMessage): void {
  const { message_id: messageId, status, timestamp } = message
  if (parts === undefined) return run.apply({ type: 'chat_message', data: message, timestamp } as never)
  replayParts(run, { message_id: messageId, status }, parts)
  if (metadata !== undefined) run.apply({ type: 'chat_part', data: { message_id: messageId, part_id: 'message', kind: 'message', value: metadata } } as never)
  if (status === 'cancelled' || status === 'interrupted') run.cut()
}

function replayParts (run: FollowedRun, about: { message_id: string, status?: string | undefined }, parts: readonly SavedPart[]): void {
  const apply = (type: string, data: Data) => run.apply({ type, data: { ...about, ...data } } as never)
  for (const part of parts as readonly Data[]) {
    const { kind, part_id: partId, text, call, ...rest } = part
    if (kind === 'text') apply('chat_message', { status: 'complete', ...rest, message_id: partId, content: text })
    else if (kind !== 'tool') apply('chat_part', { status: 'complete', ...part })
    else {
      const called = { ...rest, ...call }
      if (text !== undefined) apply('chat_part', { ...called, kind, part_id: partId, text, status: 'streaming' })
      else if ('args' in rest) apply('tool_call', { ...called, call_id: partId })
      if (rest.status !== undefined) apply('tool_output', { ...rest, call_id: partId })
    }
  }
}

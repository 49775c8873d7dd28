import type { UIMessageChunk } from 'ai'
import type { DataPart, RunPart, TextPart, ToolPart } from './run-parts.js'

/** Key of a part's `providerMetadata` with the message and the agent of the text, and whether the text was replaced. */
export const metadataName = 'fastify-realtime'

/** Streamed portion of a part. */
export interface PartCursor {
  isStarted: boolean
  isEnded: boolean
  /** Number of streamed characters of its text, or of a tool's arguments. */
  length: number
  isCalled: boolean
  /** Number of streamed chunks about approvals. */
  approvals: number
  /** Number of preliminary outputs up to the streamed one. */
  preliminaries: number
  /** Streamed metadata of a text, as JSON text. */
  metadata?: string | undefined
}

export function partCursor (): PartCursor {
  return { length: 0, isStarted: false, isEnded: false, isCalled: false, approvals: 0, preliminaries: 0 }
}

/**
 * Returns how far a tool was streamed at the latest pause, if it is not known which of its news are newer: up to its latest request for an
 * approval. An output that is older is streamed again, which changes nothing in the page.
 */
export function cursorAtPause ({ progressNative, outcome }: ToolPart): Partial<PartCursor> {
  const { approval: approvals = [] } = outcome?.native ?? progressNative ?? {}
  const approvalsAtPause = (approvals as UIMessageChunk[]).findLastIndex(({ type }) => type === 'tool-approval-request') + 1
  return { isStarted: true, isCalled: true, approvals: approvalsAtPause }
}

/** Returns the chunks of a part that come after a cursor, and moves the cursor. */
export function chunksAfter (part: RunPart, cursor: PartCursor): UIMessageChunk[] {
  if (part.kind === 'text') return textChunks(part, cursor)
  if (part.kind === 'tool') return toolChunks(part, cursor)
  return part.kind === 'chunk' ? [part.chunk] : dataChunks(part)
}

/** Fields of a chunk for a part that the AI SDK wrote on the server; undefined fields are left out. */
const has = (fields: object): object => Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))

function textChunks (part: TextPart, cursor: PartCursor): UIMessageChunk[] {
  const { native, isReasoning, isDone } = part
  const id = isReasoning && native?.id !== undefined ? native.id : part.id
  const kind = isReasoning ? 'reasoning' : 'text'
  const chunks: UIMessageChunk[] = []
  // A text that was replaced before it was streamed is omitted.
  if (cursor.isEnded || (part.isReplaced && !cursor.isStarted)) return chunks
  const metadata = native === undefined ? metadataOf(part) : native.providerMetadata
  const more = has({ providerMetadata: metadata })
  if (!cursor.isStarted) chunks.push({ type: `${kind}-start`, id, ...more })
  const delta = part.text.slice(cursor.length)
  // The AI SDK leaves a text open that its model did not end.
  const isToEnd = isDone && (native === undefined || native.ended === true || part.isCut === true)
  const metadataText = JSON.stringify(metadata)
  const isNewMetadata = cursor.isStarted && native !== undefined && !isToEnd && metadataText !== cursor.metadata
  if (delta !== '' || isNewMetadata) chunks.push({ type: `${kind}-delta`, id, delta, ...native && more })
  cursor.isStarted = true
  cursor.metadata = metadataText
  cursor.length = part.text.length
  cursor.isEnded = isDone
  if (isToEnd) {
    chunks.push({ type: `${kind}-end`, id, ...more, ...has({ citations: native?.citations }) } as UIMessageChunk)
  }
  return chunks
}

function metadataOf ({ messageId, agent, isReplaced }: TextPart) {
  return { [metadataName]: { message_id: messageId, ...agent !== undefined && { agent }, ...isReplaced && { replaced: true } } }
}

/** Chunks of a tool. Unless the AI SDK runs it, it is marked as `providerExecuted`: it runs on the server, not in the page. */
function toolChunks (part: ToolPart, cursor: PartCursor): UIMessageChunk[] {
  const { callId: toolCallId, name: toolName, args: input, outcome, inputText, isCalled, native } = part
  const isOurs = native === undefined && outcome?.native === undefined
  const about = isOurs ? { providerExecuted: true } : has({ ...native, inputEncoding: undefined })
  const chunks: UIMessageChunk[] = []
  if (cursor.isEnded) return chunks
  const inputEncoding = native?.inputEncoding
  const inputStart: UIMessageChunk = { type: 'tool-input-start', toolCallId, toolName, ...about, ...has({ inputEncoding }) }
  // Like the AI SDK, a call that was left open stays open: the page may run it. A run that was stopped closes it.
  const isLeft = !isOurs && outcome?.native?.ended !== true && !part.isCut
  const isInvalid = outcome?.native?.isInput === true
  if (!isCalled && inputText !== undefined && (outcome === undefined || isLeft)) {
    if (!cursor.isStarted) chunks.push(inputStart)
    const inputTextDelta = inputText.slice(cursor.length)
    if (inputTextDelta !== '') chunks.push({ type: 'tool-input-delta', toolCallId, inputTextDelta })
    cursor.isStarted = true
    cursor.length = inputText.length
    return chunks
  }
  if (!cursor.isCalled && !isInvalid && (isCalled || isOurs)) {
    chunks.push({ type: 'tool-input-available', toolCallId, toolName, input, ...about })
    cursor.isStarted = cursor.isCalled = true
  }
  const isDenied = outcome?.native?.isDenied === true
  chunks.push(...approvalChunks(part, cursor, outcome === undefined || isLeft || isDenied))
  cursor.isEnded = outcome !== undefined && !isLeft
  if (outcome === undefined || isLeft) {
    if (isOurs && part.progress !== undefined) {
      chunks.push({ type: 'tool-output-available', toolCallId, output: part.progress, preliminary: true, ...about })
    }
    return chunks
  }
  const { status, output, error, native: end } = outcome
  const { isInput: _, isDenied: __, input: ___, approval: ____, ended: _____, preliminary: ______, ...kept } = end ?? {}
  const more = isOurs ? about : kept
  const errorText = error?.message ?? status
  // What began with its arguments has fields that the error does not repeat.
  if (isInvalid && !cursor.isStarted && native !== undefined) chunks.push(inputStart)
  if (isInvalid) chunks.push({ type: 'tool-input-error', toolCallId, toolName, input: end!.input, errorText, ...more })
  else if (isDenied) chunks.push({ type: 'tool-output-denied', toolCallId })
  else if (status === 'complete') chunks.push({ type: 'tool-output-available', toolCallId, output, ...more })
  else if (!isLeft) {
    if (!cursor.isCalled && !cursor.isStarted) chunks.push({ type: 'tool-input-available', toolCallId, toolName, input, ...about })
    chunks.push({ type: 'tool-output-error', toolCallId, errorText, ...more })
  }
  return chunks
}

/** Chunks of a tool that the AI SDK runs: about its approvals, and the latest preliminary output at its place among them. */
function approvalChunks (part: ToolPart, cursor: PartCursor, isShown: boolean): UIMessageChunk[] {
  const { callId: toolCallId, progress, progressNative, outcome } = part
  const { approval: approvals = [], preliminary = {} } = outcome?.native ?? progressNative ?? {}
  const { count = 0, after = 0 } = preliminary
  const isNew = isShown && progress !== undefined && count > cursor.preliminaries
  const before = isNew ? Math.max(after, cursor.approvals) : approvals.length
  const more = has({ ...progressNative, approval: undefined, preliminary: undefined, isDenied: undefined, ended: undefined })
  const shown: UIMessageChunk[] = isNew ? [{ type: 'tool-output-available', toolCallId, output: progress, preliminary: true, ...more }] : []
  const chunks = [...approvals.slice(cursor.approvals, before), ...shown, ...approvals.slice(before)]
  cursor.approvals = approvals.length
  cursor.preliminaries = count
  return chunks
}

function dataChunks ({ type, id, data }: DataPart): UIMessageChunk[] {
  return [{ type: `data-${type}`, id, data }]
}

/** Returns the chunk of a `chat_part` that is neither text nor a tool. */
export function chunkOf (part: Record<string, any>): UIMessageChunk | undefined {
  const { kind, part_id: partId, name, value, ai_sdk: native, is_transient: isTransient } = part
  if (kind === 'step') return { type: 'start-step' }
  if (kind === 'message') return value === undefined ? undefined : { type: 'message-metadata', messageMetadata: value }
  if (kind === 'data' && name === 'ai_sdk') return value
  if (kind === 'data') {
    const id = native === undefined ? partId : native.id
    return { type: `data-${name}`, data: value, ...has({ id, transient: isTransient }) } as UIMessageChunk
  }
  const providerMetadata = native?.providerMetadata
  if (kind === 'file') {
    const type = native?.isReasoning === true ? 'reasoning-file' : 'file'
    return { type, url: value.url, mediaType: value.media_type, ...has({ providerMetadata }) } as UIMessageChunk
  }
  if (kind !== 'source') return undefined
  const sourceId = value.id ?? partId
  if (value.url !== undefined) return { type: 'source-url', sourceId, url: value.url, ...has({ title: value.title, providerMetadata }) } as UIMessageChunk
  const { media_type: mediaType, title, filename } = value
  return { type: 'source-document', sourceId, mediaType, title, ...has({ filename, providerMetadata }) } as UIMessageChunk
}

import type { UIMessageChunk } from 'ai'
import type { DataPart, RunPart, FollowedRun, RunReader, TextPart, ToolPart } from './run.js'

/** Key of a part's `providerMetadata` with the message and the agent of the text, and whether the text was replaced. */
export const metadataName = 'fastify-realtime'

/** Maximum number of chunks that wait in a stream. Further changes wait in the run, merged. */
const highWaterMark = 8

/**
 * Streams a run as chunks of the AI SDK. It reads the changed parts of the run when its reader demands chunks, so a reader that is slow
 * or comes late gets few long pieces of text instead of many short ones.
 */
export class UiStream implements RunReader {
  readonly stream: ReadableStream<UIMessageChunk>
  /** Id of the streamed message. Default: the id of the run. */
  readonly #messageId: string | undefined
  readonly #onEnd: Array<() => void> = []
  #controller!: ReadableStreamDefaultController<UIMessageChunk>
  #run: FollowedRun | undefined
  #cursors = new Map<RunPart, Cursor>()
  #changed = new Set<RunPart>()
  #isFlushing = false
  #hasBegun = false
  #isEnded = false

  constructor (messageId?: string) {
    this.#messageId = messageId
    this.stream = new ReadableStream({
      start: controller => { this.#controller = controller },
      pull: () => this.#flush(),
      cancel: () => this.#end()
    }, { highWaterMark })
  }

  get isEnded (): boolean {
    return this.#isEnded
  }

  /** Calls `action` once: when the stream has ended or failed, or when its reader cancels it. */
  onEnd (action: () => void): void {
    this.#onEnd.push(action)
  }

  /** Streams a run from its beginning. The first chunk comes when its turn has come. */
  read (run: FollowedRun): void {
    if (this.#isEnded || this.#run !== undefined) return
    for (const part of run.parts) this.#changed.add(part)
    this.#run = run
    run.readers.add(this)
    this.#flush()
  }

  started (): void {
    this.#flush()
  }

  changed (part: RunPart): void {
    this.#changed.add(part)
    this.#flush()
  }

  ended (): void {
    this.#flush()
  }

  /** Ends the stream because the page has aborted it. */
  abort (): void {
    this.#close({ type: 'abort' })
  }

  fail (errorText: string): void {
    this.#close({ type: 'error', errorText })
  }

  #flush (): void {
    // `enqueue` may call `pull`, which calls this method.
    if (this.#isEnded || this.#isFlushing || this.#run === undefined) return
    this.#isFlushing = true
    this.#enqueueNews(this.#run)
    this.#isFlushing = false
  }

  #enqueueNews (run: FollowedRun): void {
    if (run.isQueued) return
    if (!this.#hasBegun) this.#controller.enqueue({ type: 'start', messageId: this.#messageId ?? run.id })
    this.#hasBegun = true
    for (const part of this.#changed) {
      if (!this.#hasRoom()) return
      this.#changed.delete(part)
      for (const chunk of this.#news(part)) this.#controller.enqueue(chunk)
    }
    const { outcome } = run
    if (outcome === undefined || !this.#hasRoom()) return
    const { status, error } = outcome
    if (status === 'complete') this.#close({ type: 'finish', finishReason: 'stop' })
    else if (status === 'cancelled') this.#close({ type: 'abort', reason: status })
    else this.fail(textOf({ code: error?.code ?? status, message: error?.message }))
  }

  #hasRoom (): boolean {
    return this.#controller.desiredSize! > 0
  }

  #news (part: RunPart): UIMessageChunk[] {
    const cursor = this.#cursors.get(part) ?? { length: 0, isStarted: false, isEnded: false }
    this.#cursors.set(part, cursor)
    if (part.kind === 'text') return textNews(part, cursor)
    if (part.kind === 'tool') return toolNews(part, cursor)
    return dataNews(part)
  }

  #close (last: UIMessageChunk): void {
    if (this.#isEnded) return
    this.#end()
    this.#controller.enqueue(last)
    this.#controller.close()
  }

  #end (): void {
    if (this.#isEnded) return
    this.#isEnded = true
    this.#run?.readers.delete(this)
    this.#cursors.clear()
    this.#changed.clear()
    for (const action of this.#onEnd) action()
  }
}

/** Streamed portion of a part. */
interface Cursor {
  isStarted: boolean
  isEnded: boolean
  /** Number of streamed characters of its text. */
  length: number
}

function textNews (part: TextPart, cursor: Cursor): UIMessageChunk[] {
  const { id } = part
  const chunks: UIMessageChunk[] = []
  // A text that was replaced before it was streamed is omitted.
  if (cursor.isEnded || (part.isReplaced && !cursor.isStarted)) return chunks
  if (!cursor.isStarted) chunks.push({ type: 'text-start', id, providerMetadata: metadataOf(part) })
  cursor.isStarted = true
  const delta = part.text.slice(cursor.length)
  if (delta !== '') chunks.push({ type: 'text-delta', id, delta })
  cursor.length = part.text.length
  cursor.isEnded = part.isDone
  if (part.isDone) chunks.push({ type: 'text-end', id, providerMetadata: metadataOf(part) })
  return chunks
}

function metadataOf ({ messageId, agent, isReplaced }: TextPart) {
  return { [metadataName]: { message_id: messageId, ...agent !== undefined && { agent }, ...isReplaced && { replaced: true } } }
}

/** Chunks of a tool, marked as `providerExecuted`: the tool runs on the server, not in the page. */
function toolNews (part: ToolPart, cursor: Cursor): UIMessageChunk[] {
  const { callId: toolCallId, name: toolName, args: input, outcome } = part
  const chunks: UIMessageChunk[] = []
  if (cursor.isEnded) return chunks
  if (!cursor.isStarted) chunks.push({ type: 'tool-input-available', toolCallId, toolName, input, providerExecuted: true })
  cursor.isStarted = true
  cursor.isEnded = outcome !== undefined
  if (outcome?.status === 'complete') chunks.push({ type: 'tool-output-available', toolCallId, output: outcome.output, providerExecuted: true })
  else if (outcome !== undefined) chunks.push({ type: 'tool-output-error', toolCallId, errorText: outcome.error?.message ?? outcome.status, providerExecuted: true })
  else if (part.progress !== undefined) {
    chunks.push({ type: 'tool-output-available', toolCallId, output: part.progress, preliminary: true, providerExecuted: true })
  }
  return chunks
}

function dataNews ({ type, id, data }: DataPart): UIMessageChunk[] {
  return [{ type: `data-${type}`, id, data }]
}

/** Text of the page's `error`. It begins with the code, by which the page can recognise the error. */
export function textOf ({ code, message }: { code?: string, message?: string }): string {
  return [code, message].filter(Boolean).join(': ')
}

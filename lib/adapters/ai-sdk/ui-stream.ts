import type { UIMessageChunk } from 'ai'
import type { FollowedRun, RunReader } from './run.js'
import type { RunPart } from './run-parts.js'
import { chunksAfter, partCursor, type PartCursor } from './ui-chunks.js'

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
  #cursors = new Map<RunPart, PartCursor>()
  #changed = new Set<RunPart>()
  /** Parts that were streamed before a pause. */
  readonly #skipped = new Set<RunPart>()
  #pauses = 0
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
    for (const part of run.parts) if (!this.#skipped.has(part) && !isTransient(part)) this.#changed.add(part)
    this.#skipped.clear()
    this.#run = run
    run.readers.add(this)
    this.#flush()
  }

  /** Streams a run from where it paused for approvals. */
  readOn (run: FollowedRun): void {
    this.#pauses = run.pauses
    for (const [part, cursor] of run.pausedAt) this.#cursors.set(part, { ...cursor })
    for (const part of run.pausedAt.keys()) if (part.kind === 'chunk') this.#skipped.add(part)
    this.read(run)
  }

  started (): void {
    this.#flush()
  }

  changed (part: RunPart): void {
    // Metadata comes after all parts that were published before its change.
    if (part.kind === 'chunk') this.#changed.delete(part)
    this.#changed.add(part)
    this.#flush()
  }

  paused (): void {
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
    if (!this.#hasRoom()) return
    // The run waits for approvals. Their answers are sent with the next message, which streams the rest.
    if (outcome === undefined && run.isPaused && run.pauses > this.#pauses) return this.#close({ type: 'finish', finishReason: 'tool-calls' })
    if (outcome === undefined) return
    const { status, error } = outcome
    const metadata = run.metadata === undefined ? {} : { messageMetadata: run.metadata }
    if (status === 'complete') this.#close({ type: 'finish', finishReason: run.finishReason, ...metadata })
    else if (status === 'cancelled') this.#close({ type: 'abort', reason: status })
    else this.fail(errorTextOf({ code: error?.code ?? status, message: error?.message }))
  }

  #hasRoom (): boolean {
    return this.#controller.desiredSize! > 0
  }

  #news (part: RunPart): UIMessageChunk[] {
    const cursor = this.#cursors.get(part) ?? partCursor()
    this.#cursors.set(part, cursor)
    const chunks = chunksAfter(part, cursor)
    // Without the message that the run continues, the page does not have its calls.
    return this.#messageId === undefined ? chunks.filter(chunk => !this.#run!.isOfContinued(chunk)) : chunks
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

/** Whether a part is transient: only readers that are connected when it is sent get it. */
function isTransient (part: RunPart): boolean {
  return part.kind === 'chunk' && 'transient' in part.chunk && part.chunk.transient === true
}

/** Text of the page's `error`. It begins with the code, by which the page can recognise the error. */
export function errorTextOf ({ code, message }: { code?: string, message?: string }): string {
  return [code, message].filter(Boolean).join(': ')
}

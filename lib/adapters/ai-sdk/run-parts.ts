import type { UIMessageChunk } from 'ai'

type Data = Record<string, any>

/** Text of a message. When another text replaces it, the old and the new text are two parts. */
export interface TextPart {
  readonly kind: 'text'
  /** Unique among the text parts of the run. */
  readonly id: string
  readonly messageId: string
  readonly agent?: string
  text: string
  isDone: boolean
  /** Whether a later part replaces this text. */
  isReplaced: boolean
  isReasoning?: boolean
  /** Whether it was cancelled or interrupted. */
  isCut?: boolean
  /** Fields of the AI SDK's chunks, for a text that its server adapter wrote. */
  native?: Data | undefined
}

export interface ToolPart {
  readonly kind: 'tool'
  readonly callId: string
  readonly name: string
  args: unknown
  readonly agent?: string
  /** Latest progress. */
  progress?: unknown
  outcome?: { status: string, output?: unknown, error?: { code?: string, message?: string }, native?: Data }
  /** Arguments so far, as JSON text. */
  inputText?: string
  isCalled?: boolean
  /** Whether the call came with later news of the tool, so that it is not known what of them is older than a pause. */
  isMerged?: boolean
  /** Whether its run was cancelled or interrupted. */
  isCut?: boolean
  /** Fields of the AI SDK's chunks, for a tool that it runs. */
  native?: Data
  progressNative?: Data
}

/** Any other part, as a chunk of the AI SDK. */
export interface ChunkPart {
  readonly kind: 'chunk'
  chunk: UIMessageChunk
}

/** Question to the user, or a message of the app. */
export interface DataPart {
  readonly kind: 'data'
  readonly type: string
  readonly id: string
  data: unknown
}

export type RunPart = TextPart | ToolPart | DataPart | ChunkPart

/** Message that an answer continues, and the outputs and approvals that its page has added to tool calls. */
export interface ContinuedMessage {
  readonly id: string
  readonly tools: ReadonlyArray<{ toolCallId: string, state: string, output?: unknown, errorText?: string, approval?: Data }>
}

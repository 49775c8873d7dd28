import type { Outcome } from '../../protocol/chat.js'

/** Error that the server or this client reports. */
export interface ChatError {
  readonly code: string
  readonly message: string
}

/** Message of a user or an agent. */
export interface ChatMessage {
  readonly kind: 'message'
  /** Id of the message: the same on all devices, and from the attempt to send it onwards. */
  readonly id: string
  /** Role of the author: `user`, `assistant`, or a role that the server sets. */
  readonly role: string
  readonly agent?: string
  /** Text so far. */
  readonly text: string
  /**
   * `pending`: sent by this client, not in the chat yet. `queued`: in the chat, and its run waits for its turn. `streaming`: not
   * finished. All other statuses are final; a message that was interrupted keeps its text so far. For a user's message, `cancelled`
   * means that it was withdrawn before its run started, and `error` that the server did not accept it.
   */
  readonly status: 'pending' | 'queued' | 'streaming' | Outcome
  /** Id of the author of a user's message. */
  readonly userId?: string
  readonly runId?: string
  /** ISO 8601 UTC, by the clock of the server; for a pending message by the clock of this client. */
  readonly createdAt: string
  readonly error?: ChatError
  /** Further fields of the message; absent when it has none. */
  readonly data?: Readonly<Record<string, unknown>>
  /** Id of the message that this text is a later part of. */
  readonly messageId?: string
}

/** A message as a whole. */
export interface WholeMessage extends ChatMessage {
  /** Texts of all its parts, with an empty line between them. */
  readonly text: string
  /** Its texts and other parts, in order: for a message of one text, that item. */
  readonly parts: readonly ChatItem[]
  /** Metadata that the server has set. */
  readonly metadata?: unknown
}

/** State of a message of several parts. */
export interface Whole {
  readonly status: ChatMessage['status']
  readonly metadata?: unknown
  readonly runId?: string | undefined
}

interface PartOf<Kind extends string> {
  readonly kind: Kind
  /** Unique among the items of this kind. */
  readonly id: string
  /** Id of the message. */
  readonly messageId: string
  readonly runId?: string
  readonly agent?: string
  /** `streaming` while more text follows. */
  readonly status: 'streaming' | Outcome
  /** ISO 8601 UTC. */
  readonly createdAt: string
}

/** Reasoning of a model, as far as it is written. */
export interface Reasoning extends PartOf<'reasoning'> {
  readonly text: string
}

/** Web page or document that an answer cites. */
export interface Source extends PartOf<'source'> {
  readonly value: { url?: string, title?: string, media_type?: string, filename?: string }
}

/** File of an answer. `url` may be a `data:` URL. */
export interface MessageFile extends PartOf<'file'> {
  readonly value: { url: string, media_type: string, filename?: string }
}

/** Data of the app. */
export interface MessageData extends PartOf<'data'> {
  readonly name: string
  readonly value: unknown
}

/** Beginning of a step of the model. */
export interface Step extends PartOf<'step'> {}

/** A tool that a run has called. */
export interface ToolCall {
  readonly kind: 'tool'
  readonly id: string
  readonly runId?: string
  readonly name: string
  readonly agent?: string
  readonly args?: unknown
  /** Arguments so far, as JSON text, while the model writes them. */
  readonly input?: string
  /** Id of the message that the call is a part of. */
  readonly messageId?: string
  /** Name of the tool for users. */
  readonly title?: string
  /** Latest progress that the tool has reported. */
  readonly progress?: unknown
  /** `streaming`: the model is writing the arguments. */
  readonly status: 'streaming' | 'running' | Outcome
  readonly output?: unknown
  readonly error?: ChatError
  /** ISO 8601 UTC. */
  readonly createdAt: string
}

/** Question of a run to its user. */
export interface Question {
  readonly kind: 'question'
  readonly id: string
  readonly runId?: string
  readonly prompt: string
  /** The JSON schema of the answer. */
  readonly schema?: unknown
  /** Name of the component to ask with, as the server proposes. */
  readonly component?: string
  /** Id of the tool call that the question is about. */
  readonly callId?: string
  /** Time at which the question closes, ISO 8601 UTC; absent when it has no timeout. */
  readonly expiresAt?: string
  /** `open`, `answered`, `timeout`, or the outcome of a run that ended before the answer. */
  readonly status: 'open' | 'answered' | 'timeout' | Outcome
  /** The answer. */
  readonly value?: unknown
  /** Id of the user who answered. */
  readonly userId?: string
  /** ISO 8601 UTC. */
  readonly createdAt: string
  /**
   * Answers the question. Resolves when the server has accepted the answer. Rejects with a RealtimeError: `bad_value` when the answer
   * does not match the schema, and the question stays open; `input_closed` when the question is closed; others as a client's `send`.
   */
  readonly answer: (value: unknown) => Promise<void>
}

/** Item of a conversation. Immutable: a change creates another object. */
export type ChatItem = ChatMessage | ToolCall | Question | Reasoning | Source | MessageFile | MessageData | Step

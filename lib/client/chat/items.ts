import type { Outcome } from '../../protocol/chat.js'

/** What went wrong, as the server, or this client, says it. */
export interface ChatError {
  readonly code: string
  readonly message: string
}

/** What somebody said. */
export interface ChatMessage {
  readonly kind: 'message'
  /** The same on all devices, and from the attempt to send it on. */
  readonly id: string
  /** Who speaks: `user`, `assistant`, or what the server says. */
  readonly role: string
  readonly agent?: string
  /** All that is known of it so far. */
  readonly text: string
  /**
   * `pending`: sent by this client, and not in the chat yet; `queued`: in the chat, and its run waits for its turn;
   * `streaming`: more is coming. All others are final; one that was cut off has the text so far. Of a user's message,
   * `cancelled` was withdrawn before its run started, and `error` was not taken by the server.
   */
  readonly status: 'pending' | 'queued' | 'streaming' | Outcome
  /** Who wrote it, of a user's message. */
  readonly userId?: string
  readonly runId?: string
  /** ISO 8601 UTC: by the server's clock, of a pending message by this client's. */
  readonly createdAt: string
  readonly error?: ChatError
  /** What else the message carries. */
  readonly data?: Readonly<Record<string, unknown>>
}

/** A tool that a run has called. */
export interface ToolCall {
  readonly kind: 'tool'
  readonly id: string
  readonly runId?: string
  readonly name: string
  readonly agent?: string
  readonly args?: unknown
  /** The latest that it has told, while it runs. */
  readonly progress?: unknown
  readonly status: 'running' | Outcome
  readonly output?: unknown
  readonly error?: ChatError
  /** ISO 8601 UTC. */
  readonly createdAt: string
}

/** What a run asks its user. */
export interface Question {
  readonly kind: 'question'
  readonly id: string
  readonly runId?: string
  readonly prompt: string
  /** The JSON schema of the answer. */
  readonly schema?: unknown
  /** What to ask it with, as the server proposes. */
  readonly component?: string
  /** ISO 8601 UTC. */
  readonly expiresAt?: string
  /** What is not `open` is over: `answered`, `timeout`, or how its run ended before it was answered. */
  readonly status: 'open' | 'answered' | 'timeout' | Outcome
  /** The answer, and who gave it. */
  readonly value?: unknown
  readonly userId?: string
  /** ISO 8601 UTC. */
  readonly createdAt: string
  /**
   * Resolves when the answer was taken. Rejects with a RealtimeError: `bad_value` when it does not match the schema, and
   * the question stays open; `input_closed` when it comes too late.
   */
  readonly answer: (value: unknown) => Promise<void>
}

/** One thing in a conversation. It never changes: what does is another object. */
export type ChatItem = ChatMessage | ToolCall | Question

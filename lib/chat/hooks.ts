import type { Static, TSchema } from '@sinclair/typebox'
import type { Outcome } from '../protocol/chat.js'
import type { Envelope, Message } from '../protocol/envelope.js'
import type { ChatAddress } from './address.js'
import type { Identity } from '../server/hooks.js'
import type { Receipt } from '../server/messages/publisher.js'

/** One chat of one user, as `fastify.ws.chat(address)` returns it. */
export interface Chat {
  /**
   * Publishes to everyone connected to the chat, now or later while the history holds it. Rejects like `sendToUser`.
   * The `id` is empty where `chat.visible` says that it is not for users: then it is not published. Give a `chat_message` of your
   * own a `message_id` with a slash in it: no client can send that one.
   */
  send<const T extends string> (message: Message<T>): Promise<Receipt>
  /**
   * Starts a run, whether or not anybody is connected; when others are going, `chat.concurrency` says what happens.
   * Throws RT_ERR_CHAT_BUSY when `limits.runs` wait already, or when the runs of the user take as much of `limits.liveRuns` as is
   * still free; and RT_ERR_CLOSING.
   */
  start (handler: (run: Run) => unknown, options?: StartOptions): Run
}

export interface StartOptions {
  /** Is in `run_queued`, `run_started` and `run_finished`; `chat_cancel` may name it. */
  ref?: string | undefined
}

/** A user's message, as it was published. */
export interface UserMessage {
  /**
   * The `message_id`, unique in the chat. Of the chat's owner it is as the client sent it: its `message_id`, or the `ref` of the
   * frame. Of others it is `<user_id>/<id>`, and where a client sent none it begins with a slash.
   */
  readonly id: string
  readonly content: string
  /** Who wrote it: in a shared chat not always the one whose chat it is. */
  readonly userId: string
  /** All that the client sent as `data`. */
  readonly data: Readonly<Record<string, unknown>>
}

/**
 * The work on one answer. It ends once: when its handler returns (`complete`) or throws (`error`), when it is cancelled,
 * or when it takes longer than `timeouts.run` (`interrupted`). What is open then is closed with the same status, and what
 * the handler does afterwards has no effect. Promises of a run reject with RT_ERR_RUN_ENDED when it ends before
 * they are done; whoever does not await them need not catch that.
 */
export interface Run {
  readonly id: string
  readonly target: ChatAddress
  /** Who started it, or whose chat it is. */
  readonly userId: string
  /** Aborts when the run is cancelled, interrupted, or exceeds a limit; never because a client disconnected. */
  readonly signal: AbortSignal
  /** How it ended. Never rejects. */
  readonly finished: Promise<Outcome>
  /** Begins a message of an agent. */
  reply (options?: ReplyOptions): Reply
  /**
   * Writes a whole source into a reply, no faster than it is stored, and resolves with the text. Rejects with what the
   * source throws, after the reply has failed, and with RT_ERR_RUN_ENDED; the source is then told to stop.
   */
  stream (source: TextSource, options?: ReplyOptions): Promise<string>
  /**
   * Shows the user that a tool is at work: `tool_call`, its progress, and `tool_output`, also when `work` throws.
   * Resolves and rejects as `work` does, or rejects with RT_ERR_RUN_ENDED.
   */
  tool<T> (name: string, args: unknown, work: (context: ToolContext) => T | PromiseLike<T>, options?: ToolOptions): Promise<T>
  /**
   * Asks the user, on all devices, and resolves with the first answer that matches the schema. Rejects with
   * RT_ERR_NO_ANSWER after `timeout` milliseconds (default: never), and with RT_ERR_RUN_ENDED.
   */
  ask<S extends TSchema> (question: Question<S>, options?: { timeout?: number | undefined }): Promise<Static<S>>
  /** Publishes a message of the app's own, as `send` of the chat does. Rejects with RT_ERR_RUN_ENDED too. */
  send<const T extends string> (message: Message<T>): Promise<Receipt>
  /** Ends the run as `cancelled`. */
  cancel (): void
}

export interface ReplyOptions {
  /** Who is speaking. */
  agent?: string | undefined
  /** Default: `assistant`. */
  role?: string | undefined
}

/** A message that is being written. */
export interface Reply {
  /** The `message_id`. It begins with a slash, as no client's does. */
  readonly id: string
  /**
   * Adds text. What is written in one turn of the event loop leaves as one delta. Returns `false`, and does nothing, once
   * the reply or its run has ended. A reply over `limits.message` or a run over `limits.run` ends the run with an `error`.
   */
  write (text: string): boolean
  /** Resolves once the message is stored in its final form; rejects with RT_ERR_BROKER. Ending twice is ending once. */
  end (): Promise<void>
  /** Ends the message with the status `error`. The error is logged; clients are told only that there was one. */
  fail (error?: unknown): Promise<void>
}

/** Strings, or parts with a `text`. */
export type TextSource = AsyncIterable<string | { text: string }> | ReadableStream<string | { text: string }>

export interface ToolContext {
  /** Shows how far it is; of what is reported in one turn the latest counts. */
  progress (value: unknown): void
  /** The run's. */
  readonly signal: AbortSignal
}

export interface ToolOptions {
  /** Who uses it. */
  agent?: string | undefined
}

export interface Question<S extends TSchema = TSchema> {
  prompt: string
  /** What an answer must match. Default: anything. */
  schema?: S | undefined
  /** What the page should ask with, in the app's own words. */
  component?: string | undefined
}

/** A message as it is saved and loaded: `data` of `chat_message`, and its time. */
export type SavedMessage = Envelope<'chat_message'>['data'] & { message_id: string, timestamp: string }

type Awaitable<T> = T | Promise<T>

/** What a chat does: the option `chat`. */
export interface ChatOptions {
  /** Called for each message of a user; the call is a run. Without it clients' `chat_message` goes to the option `onMessage`. */
  onMessage?: ((run: Run, message: UserMessage) => unknown) | undefined
  /** What happens to a run while another one is going: it waits, or it replaces those before it. Default: `queue`. */
  concurrency?: 'queue' | 'replace' | undefined
  /**
   * Whether a publication is for users. With one parameter it is asked once per publication, and what is not visible is not
   * published; with two it is asked for each connection, with the identity that it has at that moment. Of a message that is
   * being written it gets `chat_message` with an empty `content`. When it throws, the publication is not shown.
   */
  visible?: ((message: Envelope, identity: Identity) => boolean) | undefined
  /**
   * Called with each message that is finished, also with those that are not visible; in order, one at a time per chat. A
   * user's message is refused when it fails, and stored before it is shown; other failures are logged.
   */
  save?: ((message: SavedMessage, target: ChatAddress) => Awaitable<unknown>) | undefined
  /** Brings messages from before the message `before`, or the newest; oldest first. None: there are no more. */
  loadHistory?: ((target: ChatAddress, before: string | undefined) => Awaitable<readonly SavedMessage[]>) | undefined
}

import type { Static, TSchema } from '@sinclair/typebox'
import type { Outcome } from '../protocol/chat.js'
import type { Envelope, Message } from '../protocol/envelope.js'
import type { PresenceOptions } from '../presence/options.js'
import type { Member, PresenceOf } from '../protocol/member.js'
import type { ChatAddress } from './address.js'
import type { Identity } from '../server/hooks.js'
import type { Receipt } from '../server/messages/publisher.js'

/** One chat of one user. `fastify.ws.chat(address)` returns it. */
export interface Chat {
  /**
   * Publishes a message to all connections of the chat. A connection that is opened later gets it while the history holds it. Rejects
   * like `sendToUser`. When `chat.visible` hides the message, it is not published, and the receipt has an empty `id`.
   * Give a `chat_message` of the app a `message_id` that contains a slash: no client can send such an id.
   */
  send<const T extends string> (message: Message<T>): Promise<Receipt>
  /**
   * Starts a run, with or without connected clients. `chat.concurrency` decides what happens when another run is active.
   * Throws RT_ERR_CHAT_BUSY when `limits.runs` runs of the chat already wait, or when the user would use more of `limits.liveRuns`
   * than is free. Throws RT_ERR_CLOSING when the server is closing.
   */
  start (handler: (run: Run) => unknown, options?: StartOptions): Run
  /**
   * Users who are connected to the chat on any server, or were until at most 5 s ago, with their connections. Hidden users are not among
   * them. Rejects with RT_ERR_NO_PRESENCE if the option `chat.presence` is not set, and with RT_ERR_BROKER.
   */
  members (): Promise<Member<PresenceOf<'chat'>>[]>
}

export interface StartOptions {
  /** Sent in `run_queued`, `run_started` and `run_finished`. A client can cancel the run with this `ref`. Default: none. */
  ref?: string | undefined
}

/** A message of a user, as `chat.onMessage` gets it. */
export interface UserMessage {
  /**
   * The `message_id`, unique in the chat. For the owner of the chat it is the id that the client sent: its `message_id`, or else the
   * `ref` of the frame, if that is a string. For other users it is `<user_id>/<id>`. When the client sent no id, the server creates
   * one, which begins with a slash.
   */
  readonly id: string
  readonly content: string
  /** Id of the author. In a shared chat, the author is not always the owner of the chat. */
  readonly userId: string
  /** The `data` that the client sent, with all its fields. */
  readonly data: Readonly<Record<string, unknown>>
}

/**
 * The work on one answer. A run ends once: when its handler returns (`complete`), when the handler throws or the run exceeds a limit
 * (`error`), when it is cancelled (`cancelled`), or when it takes longer than `timeouts.run` or the server closes (`interrupted`).
 * Open replies, tools and questions are then closed, with the same status; a tool or question that is still open in a `complete` run
 * is `interrupted`. Later calls of the handler have no effect. Promises of a run reject with RT_ERR_RUN_ENDED when the run ends
 * before they settle. This rejection need not be handled when nothing awaits the promise.
 */
export interface Run {
  readonly id: string
  readonly target: ChatAddress
  /** Id of the user whose message started the run; for a run of `start`, of the owner of the chat. */
  readonly userId: string
  /** Aborts when the run ends with another outcome than `complete`. A client that disconnects does not abort it. */
  readonly signal: AbortSignal
  /** Resolves with the outcome when the run ends. Never rejects. */
  readonly finished: Promise<Outcome>
  /** Begins a message of an agent, which the handler writes in pieces. */
  reply (options?: ReplyOptions): Reply
  /**
   * Begins a reasoning of the model. This and the next methods write parts of the latest open reply. Without one they begin a reply, which
   * the next `reply` or `stream` without an agent or role continues.
   */
  reasoning (options?: PartOptions): PartWriter
  /** Adds a source that the answer cites. Settles like `data`. */
  source (source: SourcePart, options?: PartOptions): Promise<void>
  /** Adds a file. Settles like `data`. */
  file (file: FilePart, options?: PartOptions): Promise<void>
  /**
   * Adds data of the app, or replaces the data with the same `id`. Resolves when it is stored. Rejects with the error of the broker when
   * all attempts to store it have failed.
   */
  data (name: string, value: unknown, options?: DataOptions): Promise<void>
  /** Begins the next step of the answer. Settles like `data`. */
  step (options?: PartOptions): Promise<void>
  /**
   * Writes a source into a new reply, at most as fast as the broker stores it, and resolves with its text. `map` turns the events of any
   * other source into pieces. When the source throws, the reply ends with the status `error`, and the promise rejects with the error of
   * the source. For a UiResult or a ModelResponse the error is RT_ERR_ANSWER_FAILED, whose `cause` is the error of the model. Rejects with
   * RT_ERR_RUN_ENDED when the run ends first. In all these cases the source is stopped.
   */
  stream (source: AnswerSource, options?: StreamOptions): Promise<string>
  stream<E> (source: AsyncIterable<E> | ReadableStream<E>, options: StreamOptions & { map: MapEvent<E> }): Promise<string>
  /**
   * Executes a tool and publishes its `tool_call`, its progress, and its `tool_output`, also when `work` throws.
   * Settles as `work` does, or rejects with RT_ERR_RUN_ENDED when the run ends first.
   */
  tool<T> (name: string, args: unknown, work: (context: ToolContext) => T | PromiseLike<T>, options?: ToolOptions): Promise<T>
  /**
   * Asks the user a question, on all devices, and resolves with the first answer that matches the schema. Rejects with
   * RT_ERR_NO_ANSWER after `timeout` ms (default: no timeout), and with RT_ERR_RUN_ENDED when the run ends first.
   */
  ask<S extends TSchema> (question: Question<S>, options?: { timeout?: number | undefined }): Promise<Static<S>>
  /** Publishes a message like `send` of the chat. Also rejects with RT_ERR_RUN_ENDED when the run has ended. */
  send<const T extends string> (message: Message<T>): Promise<Receipt>
  /** Ends the run as `cancelled`. */
  cancel (): void
}

export interface ReplyOptions {
  /** Name of the agent that writes. Default: none. */
  agent?: string | undefined
  /** Default: `assistant`. */
  role?: string | undefined
}

/** A message that is being written. */
export interface Reply {
  /** The `message_id`. It begins with a slash; ids that clients choose do not. */
  readonly id: string
  /** Its parts so far, in the form in which they are saved. */
  readonly parts: SavedPart[]
  /**
   * Appends text. All text of one turn of the event loop is sent as one delta. Returns `false`, and writes nothing, once the reply or
   * its run has ended. A reply over `limits.message` bytes or a run over `limits.run` bytes ends the run with the outcome `error`.
   * Throws a TypeError when `text` is not a string.
   */
  write (text: string): boolean
  /** Begins another text of the message, even if it stays empty. */
  addText (options?: PartOptions): PartWriter
  /** Begins a reasoning of the model. */
  reasoning (options?: PartOptions): PartWriter
  /** Begins a call of a tool that runs elsewhere, such as in the library of the model. */
  call (name: string, options?: PartOptions & { id?: string | undefined }): ToolCall
  /** Adds a source that the answer cites. Settles like `data`. */
  source (source: SourcePart, options?: PartOptions): Promise<void>
  /** Adds a file. Settles like `data`. */
  file (file: FilePart, options?: PartOptions): Promise<void>
  /**
   * Adds data of the app, or replaces the data with the same `id`. Resolves when it is stored. Rejects with the error of the broker when
   * all attempts to store it have failed.
   */
  data (name: string, value: unknown, options?: DataOptions): Promise<void>
  /** Begins the next step of the answer. Settles like `data`. */
  step (options?: PartOptions): Promise<void>
  /** Sets the metadata of the message, such as its usage: any JSON value. Replaces the earlier metadata. Settles like `data`. */
  metadata (value: unknown, options?: PartOptions): Promise<void>
  /** Resolves when more may be written: at once, unless the broker is behind. A source of much text waits for it. */
  ready (): Promise<void>
  /**
   * Ends the message. Resolves once its final form is stored. Rejects with the error of the broker, such as RT_ERR_BROKER, when all 60
   * attempts to store it, 1 s apart, have failed. Further calls return the same promise.
   */
  end (): Promise<void>
  /** Ends the message with the status `error`. The server logs `error`; clients see only the status. Settles like `end`. */
  fail (error?: unknown): Promise<void>
}

export interface PartOptions {
  /** Fields to send in addition to those of the part. Default: none. */
  fields?: Record<string, unknown> | undefined
}

export interface DataOptions extends PartOptions {
  /** Id of the data, unique among the parts of the message. Default: a new id. */
  id?: string | undefined
  /** Shows the data only to clients that are connected now, and does not save it. Default: false. */
  isTransient?: boolean | undefined
}

/** A text of a message, or a reasoning, that is being written. */
export interface PartWriter {
  /** Like `write` of a reply. `fields`: fields of the part, from now on. */
  write (text: string, fields?: Record<string, unknown>): boolean
  /** Ends the part, once. Settles like `end` of a reply. `fields`: further fields of its final form. */
  end (fields?: Record<string, unknown>): Promise<void>
}

/** A call of a tool that runs elsewhere. Its promises settle like `data` of a reply. */
export interface ToolCall {
  /** The `call_id`. */
  readonly id: string
  /** Appends text to the arguments, as JSON text, while the model writes them. Returns `false` once the call is complete. */
  write (text: string, fields?: Record<string, unknown>): boolean
  /** Publishes the whole arguments. */
  call (args: unknown, fields?: Record<string, unknown>): Promise<void>
  /** Publishes the progress of the tool: any JSON value. */
  progress (value: unknown, fields?: Record<string, unknown>): Promise<void>
  /** Ends the call with its output, once. */
  output (value: unknown, fields?: Record<string, unknown>): Promise<void>
  /** Ends the call with an error that users see. Default: `tool_failed`. */
  fail (error?: { code: string, message: string }, fields?: Record<string, unknown>): Promise<void>
}

/** A web page, or a document, that an answer cites. */
export type SourcePart =
  { url: string, title?: string | undefined, id?: string | undefined } |
  { title: string, media_type: string, filename?: string | undefined, id?: string | undefined }

/** A file. `url`: where it is, or a `data:` URL. */
export interface FilePart {
  url: string
  media_type: string
  filename?: string | undefined
}

/** A part of a saved message, by its `kind`. The `value` of `source` and `file` is a SourcePart or a FilePart. */
export type SavedPart = { part_id: string, [field: string]: unknown } & (
  { kind: 'text' | 'reasoning', text: string } |
  { kind: 'tool', name: string, args?: unknown, status?: Outcome, output?: unknown, error?: { code: string, message: string } } |
  { kind: 'source' | 'file', value: unknown } |
  { kind: 'data', name: string, value: unknown } |
  { kind: 'step' }
)

/**
 * Piece of an answer, by its kind; without a kind it is text. A text continues the text before it, unless another part came between them.
 * So does a reasoning. The pieces of a tool call have the same `id`: the first one has its `name`, `text` continues its arguments as JSON
 * text, `args` has all of them, and `output` or `error` ends it.
 */
export type AnswerPart =
  { kind?: 'text' | undefined, text: string } |
  { kind: 'reasoning', text: string } |
  {
    kind: 'tool'
    id: string
    name?: string | undefined
    text?: string | undefined
    args?: unknown
    progress?: unknown
    output?: unknown
    error?: { code: string, message: string } | undefined
  } |
  { kind: 'source', value: SourcePart } |
  { kind: 'file', value: FilePart } |
  { kind: 'data', name: string, value: unknown, id?: string | undefined, isTransient?: boolean | undefined } |
  { kind: 'step' } |
  { kind: 'metadata', value: unknown }

/** Chunk of the AI SDK's UI message stream. */
export interface UiChunk {
  readonly type: string
  readonly [field: string]: any
}

/** Result of `streamText` of the AI SDK, or of an agent. */
export interface UiResult {
  toUIMessageStream (options?: any): ReadableStream<any>
}

/** HTTP response, of any implementation of fetch. */
export interface ModelResponse {
  readonly ok: boolean
  readonly status: number
  readonly headers: { get (name: string): string | null }
  readonly body: ReadableStream<Uint8Array> | null
  text (): Promise<string>
}

/** Source of an answer. A ModelResponse is a streamed response of OpenAI's chat completions. */
export type AnswerSource = AsyncIterable<string | AnswerPart> | ReadableStream<string | AnswerPart> | UiResult | ModelResponse

/** Turns an event of a source into pieces of the answer; `undefined` for none. */
export type MapEvent<E> = (event: E) => string | AnswerPart | ReadonlyArray<string | AnswerPart> | undefined

export interface StreamOptions extends ReplyOptions {
  /** Returns the text for users when the model of a UiResult or a ModelResponse, or its tool, fails. Default: a text without details. */
  onError?: ((error: unknown) => string) | undefined
}

export interface ToolContext {
  /** Publishes the progress of the tool: any JSON value. Only the latest value of one turn of the event loop is sent. */
  progress (value: unknown): void
  /** The `signal` of the run. */
  readonly signal: AbortSignal
}

export interface ToolOptions {
  /** Name of the agent that uses the tool. Default: none. */
  agent?: string | undefined
  /** The `call_id`, such as the id that the model gave the call. Unique in the chat. Default: a new id. */
  id?: string | undefined
}

export interface Question<S extends TSchema = TSchema> {
  prompt: string
  /** TypeBox schema that an answer must match. Default: any value matches. */
  schema?: S | undefined
  /** Name of the component with which the page should ask. The app defines these names. Default: none. */
  component?: string | undefined
  /** Id of the tool call that the question is about. Default: none. */
  callId?: string | undefined
  /** Fields to send in addition. Default: none. */
  fields?: Record<string, unknown> | undefined
}

/**
 * A message as it is saved and loaded: the `data` of its `chat_message`, and its timestamp. `parts`: all parts of a message that is more
 * than one text; `content` has its texts, with an empty line between them.
 */
export type SavedMessage = Envelope<'chat_message'>['data'] & { message_id: string, timestamp: string, parts?: SavedPart[], metadata?: unknown }

type Awaitable<T> = T | Promise<T>

/** Behaviour of chats: the option `chat`. */
export interface ChatOptions {
  /** Handler of the run that each message of a user starts. Default: the option `onMessage` handles `chat_message`. */
  onMessage?: ((run: Run, message: UserMessage) => unknown) | undefined
  /** What a new run does while another one is active: it waits (`queue`), or it cancels the earlier runs (`replace`). Default: `queue`. */
  concurrency?: 'queue' | 'replace' | undefined
  /**
   * Returns whether users see a publication. A function with one parameter is called once per publication, and a hidden publication
   * is not published. A function with two parameters is called for each connection, with its current identity. A message that is
   * being written is passed as a `chat_message` with an empty `content`. A publication is hidden when the function throws or returns
   * anything but `true`. Default: users see everything.
   */
  visible?: ((message: Envelope, identity: Identity) => boolean) | undefined
  /**
   * Called with each finished message, hidden ones included, in order and one at a time per chat. A user's message is published after
   * it is saved, and refused when saving fails. Failures to save other messages are logged.
   */
  save?: ((message: SavedMessage, target: ChatAddress) => Awaitable<unknown>) | undefined
  /** Whether clients see who else is connected to a chat; see `presence` of a channel kind. Default: no presence. */
  presence?: true | PresenceOptions | undefined
  /** Returns messages before the message with the id `before`, or else the newest; oldest first. An empty array: there are no more. */
  loadHistory?: ((target: ChatAddress, before: string | undefined) => Awaitable<readonly SavedMessage[]>) | undefined
}

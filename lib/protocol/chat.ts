import { Type, type Static, type TSchema } from '@sinclair/typebox'
import { maxMessageId } from './message-id.js'
import { Name, Timestamp, open } from './schemas.js'

/** Outcomes of a run, a reply, a tool or a question. */
const outcomes = [Type.Literal('complete'), Type.Literal('cancelled'), Type.Literal('interrupted'), Type.Literal('error')]

/** `interrupted`: it took too long, or its server closed or died. */
export const Outcome = Type.Union(outcomes)
export type Outcome = Static<typeof Outcome>

/** A stable code and a text for developers, never the message of an exception. */
const Fault = Type.Object({ code: Type.String(), message: Type.String() })

const optional = Type.Optional
const id = Name
const messageId = Type.String({ minLength: 1, maxLength: maxMessageId })
const Ref = Type.Union([Type.String(), Type.Integer()])

/** Schema of a `data` that may be missing: `Optional` alone only applies to properties. */
const orNothing = <T extends TSchema>(schema: T) => optional(Type.Union([schema, Type.Undefined()]))

/** A call that a client has not received before a later publication of the tool. */
const MissedCall = Type.Object({ type: Type.Literal('tool_call'), data: Type.Unknown(), timestamp: Timestamp })

/** Id of a run, and its origin. */
const Origin = Type.Object({ run_id: id, ref: optional(Ref), message_id: optional(messageId), user_id: optional(Type.String()) })

/** Kinds of `chat_part`. `tool`: a tool whose arguments are still being written; `tool_call` replaces it. `message`: the whole message. */
const PartKind = Type.Union([
  Type.Literal('reasoning'), Type.Literal('tool'), Type.Literal('source'), Type.Literal('file'), Type.Literal('data'), Type.Literal('step'),
  Type.Literal('message')
])
export type PartKind = Static<typeof PartKind>

/** Schemas of the `data` of a chat's messages, by type. */
export const chatMessages = {
  /** A whole message. It replaces the known message with the same `message_id`. `streaming`: deltas follow. */
  chat_message: open(Type.Object({
    content: Type.String(),
    /** Unique in the chat. */
    message_id: optional(messageId),
    run_id: optional(id),
    role: optional(Name),
    agent: optional(Type.String()),
    status: optional(Type.Union([...outcomes, Type.Literal('streaming')])),
    /** Id of the author of a user's message. */
    user_id: optional(Type.String()),
    /** Id of the message that this text is a later part of. */
    part_of: optional(messageId),
    /** Id of the user's message whose text this is again. */
    repeats: optional(messageId)
  })),
  /** Continues a message: its text is now the known text up to `at`, in UTF-16 code units, and then `text`. */
  chat_delta: open(Type.Object({
    message_id: messageId,
    run_id: optional(id),
    agent: optional(Type.String()),
    part_of: optional(messageId),
    at: Type.Integer({ minimum: 0 }),
    text: Type.String()
  })),
  /**
   * A part of a message other than its text, or the message as a whole (`kind: 'message'`). It replaces the known part with the same
   * `message_id` and `part_id`. `streaming`: deltas of its `text` follow.
   */
  chat_part: open(Type.Object({
    message_id: messageId,
    part_id: Type.String({ minLength: 1 }),
    kind: PartKind,
    run_id: optional(id),
    agent: optional(Type.String()),
    status: optional(Type.Union([...outcomes, Type.Literal('streaming')])),
    /** Text of a reasoning, or the arguments of a tool so far, as JSON text. */
    text: optional(Type.String()),
    /** Name of a tool, or of data. */
    name: optional(Type.String()),
    /** Content of a source, a file, or data; metadata of a message. */
    value: optional(Type.Unknown())
  })),
  /** Continues the `text` of a part, by the rule of `chat_delta`. Has the other fields of the part, too. */
  chat_part_delta: open(Type.Object({
    message_id: messageId,
    part_id: Type.String({ minLength: 1 }),
    kind: PartKind,
    run_id: optional(id),
    agent: optional(Type.String()),
    name: optional(Type.String()),
    at: Type.Integer({ minimum: 0 }),
    text: Type.String()
  })),
  /** The run waits for its turn. Has the fields of `run_started`. */
  run_queued: open(Origin),
  /** `ref` and `message_id`: those of the client's message that started the run. A `ref` may also be chosen by the app. */
  run_started: open(Origin),
  /** Published exactly once for each run. A run that was ended before its turn has no `run_started`. */
  run_finished: open(Type.Object({
    run_id: id, ref: optional(Ref), message_id: optional(messageId), status: Outcome, error: optional(Fault)
  })),
  tool_call: open(Type.Object({
    call_id: id,
    run_id: optional(id),
    name: Type.String(),
    args: optional(Type.Unknown()),
    agent: optional(Type.String()),
    /** Id of the message that the tool is a part of. */
    message_id: optional(messageId),
    title: optional(Type.String())
  })),
  /** Progress of a tool. Clients that connect later get only the latest one. */
  tool_progress: open(Type.Object({
    call_id: id, run_id: optional(id), progress: optional(Type.Unknown()), agent: optional(Type.String()), call: optional(MissedCall)
  })),
  /** Published exactly once for each `tool_call`. */
  tool_output: open(Type.Object({
    call_id: id,
    run_id: optional(id),
    name: optional(Type.String()),
    agent: optional(Type.String()),
    message_id: optional(messageId),
    status: Outcome,
    output: optional(Type.Unknown()),
    error: optional(Fault),
    call: optional(MissedCall)
  })),
  /** A question to the user. `schema`: the JSON schema of the answer. */
  input_request: open(Type.Object({
    request_id: id,
    run_id: optional(id),
    prompt: Type.String(),
    schema: optional(Type.Unknown()),
    component: optional(Type.String()),
    /** Id of the tool call that the question is about. */
    call_id: optional(id),
    expires_at: optional(Timestamp)
  })),
  /** Published exactly once for each `input_request`. */
  input_closed: open(Type.Object({
    request_id: id,
    run_id: optional(id),
    reason: Type.Union([Type.Literal('answered'), Type.Literal('timeout'), ...outcomes]),
    value: optional(Type.Unknown()),
    /** Id of the user who answered. */
    user_id: optional(Type.String())
  })),

  // Sent by clients.
  /**
   * Cancels a run by its id, or by a `ref`: the `ref` or the `message_id` of a message that the same user sent, as it was sent; the `ref`
   * of a run of the app; or, if it contains a slash, the `message_id` of any message. Without both, cancels all runs of the chat.
   */
  chat_cancel: orNothing(open(Type.Object({ run_id: optional(id), ref: optional(Ref) }))),
  /** Answers an `input_request`. */
  input_response: open(Type.Object({ request_id: id, value: optional(Type.Unknown()) })),
  /** Requests the messages before the message `before`, or else the newest. */
  chat_history: orNothing(open(Type.Object({ before: optional(messageId) })))
}

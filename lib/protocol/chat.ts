import { Type, type Static, type TSchema } from '@sinclair/typebox'
import { maxMessageId } from './message-id.js'
import { Name, Timestamp, open } from './schemas.js'

/** How a run, a reply, a tool or a question ended. */
const outcomes = [Type.Literal('complete'), Type.Literal('cancelled'), Type.Literal('interrupted'), Type.Literal('error')]

/** `interrupted`: it took too long, or its server went away. */
export const Outcome = Type.Union(outcomes)
export type Outcome = Static<typeof Outcome>

/** A stable code and a text for developers, never an exception's message. */
const Fault = Type.Object({ code: Type.String(), message: Type.String() })

const optional = Type.Optional
const id = Name
const messageId = Type.String({ minLength: 1, maxLength: maxMessageId })
const Ref = Type.Union([Type.String(), Type.Integer()])

/** `data` may be missing: `Optional` alone only says so of a property. */
const orNothing = <T extends TSchema>(schema: T) => optional(Type.Union([schema, Type.Undefined()]))

/** Which run, and what started it. */
const Origin = Type.Object({ run_id: id, ref: optional(Ref), message_id: optional(messageId), user_id: optional(Type.String()) })

/** What is published in a chat: `data` by the type of message. */
export const chatMessages = {
  /** A message as a whole: it replaces what a client has of the same `message_id`. `streaming`: there is more to come. */
  chat_message: open(Type.Object({
    content: Type.String(),
    /** Unique in the chat. */
    message_id: optional(messageId),
    run_id: optional(id),
    role: optional(Name),
    agent: optional(Type.String()),
    status: optional(Type.Union([...outcomes, Type.Literal('streaming')])),
    /** Who wrote it, where it was a user. */
    user_id: optional(Type.String())
  })),
  /** Text to add to a message: its text is what it was up to `at`, in UTF-16 code units, and then `text`. */
  chat_delta: open(Type.Object({
    message_id: messageId,
    run_id: optional(id),
    agent: optional(Type.String()),
    at: Type.Integer({ minimum: 0 }),
    text: Type.String()
  })),
  /** The run has to wait for its turn. The fields are those of `run_started`. */
  run_queued: open(Origin),
  /** `ref` and `message_id`: of the client's message that started it. */
  run_started: open(Origin),
  /** Exactly one for each run. A run that was ended before its turn has no `run_started`. */
  run_finished: open(Type.Object({
    run_id: id, ref: optional(Ref), message_id: optional(messageId), status: Outcome, error: optional(Fault)
  })),
  tool_call: open(Type.Object({
    call_id: id, run_id: optional(id), name: Type.String(), args: optional(Type.Unknown()), agent: optional(Type.String())
  })),
  /** The latest counts; who comes late does not get those before. */
  tool_progress: open(Type.Object({
    call_id: id, run_id: optional(id), progress: optional(Type.Unknown()), agent: optional(Type.String())
  })),
  /** Exactly one for each `tool_call`. */
  tool_output: open(Type.Object({
    call_id: id,
    run_id: optional(id),
    name: optional(Type.String()),
    agent: optional(Type.String()),
    status: Outcome,
    output: optional(Type.Unknown()),
    error: optional(Fault)
  })),
  /** A question to the user. `schema`: the JSON schema of the answer. */
  input_request: open(Type.Object({
    request_id: id,
    run_id: optional(id),
    prompt: Type.String(),
    schema: optional(Type.Unknown()),
    component: optional(Type.String()),
    expires_at: optional(Timestamp)
  })),
  /** Exactly one for each `input_request`. */
  input_closed: open(Type.Object({
    request_id: id,
    run_id: optional(id),
    reason: Type.Union([Type.Literal('answered'), Type.Literal('timeout'), ...outcomes]),
    value: optional(Type.Unknown()),
    /** Who answered. */
    user_id: optional(Type.String())
  })),

  // From clients.
  /**
   * Ends a run, by its id. `ref` stands for the `ref` or the `message_id` of a message that the same user sent, as it was sent; with a
   * slash in it for the `message_id` of any message. Without either, ends all runs of the chat.
   */
  chat_cancel: orNothing(open(Type.Object({ run_id: optional(id), ref: optional(Ref) }))),
  /** Answers an `input_request`. */
  input_response: open(Type.Object({ request_id: id, value: optional(Type.Unknown()) })),
  /** Asks for messages from before the message `before`, or for the newest. */
  chat_history: orNothing(open(Type.Object({ before: optional(messageId) })))
}

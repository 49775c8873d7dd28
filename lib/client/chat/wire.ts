/** What a chat channel carries: `data` by the type of the message. */
export interface ChatWire {
  run_started: { run_id: string, ref?: string, user_id?: string }
  run_finished: { run_id: string, ref?: string, status: Outcome, error?: ChatError }
  chat_delta: { message_id: string, run_id?: string, agent?: string, at: number, text: string }
  chat_message: WireMessage
  tool_call: { call_id: string, run_id: string, name: string, agent?: string, args?: unknown }
  tool_progress: { call_id: string, run_id: string, progress: unknown }
  tool_output: { call_id: string, run_id: string, name: string, status: Outcome, output?: unknown, error?: ChatError }
  input_request: { request_id: string, run_id: string, prompt: string, schema?: unknown, component?: string, expires_at?: string }
  input_closed: { request_id: string, run_id: string, reason: Exclude<QuestionStatus, 'open'>, value?: unknown, user_id?: string }
}

/** A whole message. The fields that are not here are the app's own. */
export interface WireMessage {
  message_id?: string
  run_id?: string
  role?: string
  agent?: string
  content: string
  status?: 'streaming' | Outcome
  user_id?: string
  error?: ChatError
}

/** The answer to `chat_history`: messages, oldest first. */
export interface WirePage {
  messages: ReadonlyArray<WireMessage & { timestamp?: string }>
  /** There are none before these. */
  is_complete: boolean
}

/** How something ended. */
export type Outcome = 'complete' | 'cancelled' | 'interrupted' | 'error'

export type QuestionStatus = 'open' | 'answered' | 'timeout' | 'cancelled' | 'interrupted' | 'error'

/** What went wrong, as the server, or this client, says it. */
export interface ChatError {
  readonly code: string
  readonly message: string
}

/** Codes of `error` frames: reasons why a client's message was not handled. */
export type ErrorCode = 'bad_json' | 'bad_message' | 'unknown_type' | 'rate_limited' | 'handler_failed' | 'handler_timeout' |
  'renew_refused' | 'chat_busy' | 'bad_value' | 'input_closed' | 'too_big' | 'over_quota' |
  'not_subscribed' | 'no_presence' | 'presence_hidden' | 'answer_lost'

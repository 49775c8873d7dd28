import type { Publication } from '../../logs/log.js'

/** Fields of a publication that the log examines. */
export interface Telling {
  readonly type: string
  readonly data?: Record<string, unknown>
  readonly timestamp?: string
}

/** Message types that the log merges, or that start or end the protection of entries. It stores all other types unread. */
const tellingTypes = [
  'chat_delta', 'chat_message', 'chat_part', 'chat_part_delta', 'run_queued', 'run_started', 'run_finished', 'tool_call', 'tool_progress', 'tool_output'
]
const telling = new RegExp(`^\\{"type":"(?:${tellingTypes.join('|')})"`)

/** Parses a publication of one of `tellingTypes`; `undefined` for other types. `parsed`: the same as `body`, if the caller has it. */
export function tellingOf (body: string, parsed: Publication | undefined): Telling | undefined {
  if (!telling.test(body)) return undefined
  return (parsed ?? JSON.parse(body)) as Telling
}

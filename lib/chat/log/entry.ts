import type { Streaming } from './text/streaming.js'

/** One publication, or the merged publications of one message, of one part or of one tool's progress. */
export interface ChatEntry {
  /** Offset of the first publication in the entry. */
  readonly first: number
  /** Offset of the newest publication in the entry; 0 when the entry was emptied. */
  last: number
  /** Time at which the newest publication was appended, in ms. */
  time: number
  bytes: number
  /** Key of the message, of the part or of the tool's progress that its publications belong to. */
  readonly key?: string
  /** Another key by which it is found: of the message that it repeats, or of the tool that it calls. */
  alias?: string
  /** The newest publication; empty while there is a `text`. */
  body: string
  text?: Streaming
  /** Of a `tool_call`: the entry of its output or of its latest progress. */
  later?: ChatEntry
  /** Of an output or of progress: the entry of its `tool_call`. */
  call?: ChatEntry
  /** Neighbours among the entries with several publications; see `ByLast`. */
  previous?: ChatEntry
  next?: ChatEntry
}

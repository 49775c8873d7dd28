/** Counted since the server started. */
export interface Counters {
  /** Publications written to connections. */
  deliveries: number
  /** Writes to sockets; with bursts fewer than deliveries. */
  writes: number
  /** Times a connection had to be told that it missed publications. */
  resyncs: number
  /** Connections closed because they did not read. */
  stalls: number
  /** Times that the sockets of a user were not read for a while, because the user had sent too much. */
  holds: number
}

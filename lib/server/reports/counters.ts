/** Counters since the server started. */
export interface Counters {
  /** Publications written to connections. */
  deliveries: number
  /** Writes to sockets; in bursts fewer than deliveries. */
  writes: number
  /** `resync` frames: each tells a connection that it missed publications. */
  resyncs: number
  /** Connections closed because they did not read. */
  stalls: number
  /** Times that reading from a user's sockets was paused because the user had sent too much. */
  holds: number
}

import type { applied } from '../channels/roster.js'
import type { cursors } from '../cursors.js'
import type { parse } from '../frame.js'
import type { handover } from '../outage.js'
import type { bytesOf } from '../outbox.js'
import type { paced } from '../pace.js'

/**
 * Parts of the client that sharing needs. They are passed, not imported: bundlers split the code for sharing from that of the client, and
 * some would make a third file of what both import.
 */
export interface Parts {
  readonly cursors: typeof cursors
  readonly parse: typeof parse
  readonly bytesOf: typeof bytesOf
  readonly paced: typeof paced
  readonly applied: typeof applied
  readonly handover: typeof handover
}

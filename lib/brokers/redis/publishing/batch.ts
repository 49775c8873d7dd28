import type { Position } from '../../../protocol/position.js'
import type { StreamLimits } from '../retention.js'

/** A publication that waits for Redis, or was sent and is not settled. */
export interface PendingPublication {
  readonly channel: string
  readonly body: string
  readonly limits: StreamLimits
  /** Whether other limits that Redis has for the channel take precedence. */
  readonly isDefault: boolean
  /** Unique id of the publication. */
  readonly mark: string
  readonly number: number
  /** Current server of its channel, in a Cluster. */
  readonly server: () => string | undefined
  readonly bytes: number
  /** When `publish` was called, on the monotonic clock. */
  readonly at: number
  readonly resolve: (position: Position) => void
  readonly reject: (error: Error) => void
  isSettled: boolean
}

/** Publications sent together, by their channel. */
export interface Batch {
  /** Server to which they were sent, in a Cluster. */
  readonly server: string | undefined
  publications: PendingPublication[]
  readonly channels: Map<string, PendingPublication[]>
  readonly sentAt: number
  /** On Redis's clock, in ms. Redis stores none of them afterwards. */
  readonly deadline: number
}

export function byChannel (publications: PendingPublication[]): Map<string, PendingPublication[]> {
  const channels = new Map<string, PendingPublication[]>()
  for (const publication of publications) {
    const others = channels.get(publication.channel)
    if (others === undefined) channels.set(publication.channel, [publication])
    else others.push(publication)
  }
  return channels
}

/** Whether all publications of a batch are settled. */
export function isOver ({ publications }: Batch): boolean {
  return publications.every(({ isSettled }) => isSettled)
}

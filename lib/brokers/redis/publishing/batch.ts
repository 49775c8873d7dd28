import type { Position } from '../../../protocol/position.js'
import type { StreamLimits } from '../retention.js'

/** One that waits for Redis, or is under way. */
export interface PendingPublication {
  readonly channel: string
  readonly body: string
  readonly limits: StreamLimits
  /** Redis may know other limits of the channel, which count then. */
  readonly isDefault: boolean
  /** Unlike that of any other publication. */
  readonly mark: string
  readonly number: number
  /** The server of its channel at the moment, in a Cluster. */
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
  /** To which they were sent, in a Cluster. */
  readonly server: string | undefined
  publications: PendingPublication[]
  readonly channels: Map<string, PendingPublication[]>
  readonly sentAt: number
  /** On Redis's clock: it stores none of them afterwards. */
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

/** Whether all of it is settled. */
export function isOver ({ publications }: Batch): boolean {
  return publications.every(({ isSettled }) => isSettled)
}

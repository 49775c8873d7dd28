export interface Retention {
  /** How many publications of a channel can be recovered. */
  size: number
  /** For how long they can be, in milliseconds. */
  ttl: number
  /** Bytes of a channel that Redis keeps. The newest publications stay, whatever their size. */
  bytes: number
}

/** A retention as an option: what is missing has a default. */
export type RetentionOptions = { [K in keyof Retention]?: Retention[K] | undefined }

/** What Redis keeps of a channel, by its name. */
export type RetentionOf = (channel: string) => Retention

const mib = 1024 * 1024

/**
 * Of a chat Redis keeps the pieces in which it was written, of which its log makes messages: many more, longer, and by default
 * four times the bytes of `limits.run`. A run publishes its text twice, in pieces and as a whole, and is kept whole.
 */
export function retentionOf (history: RetentionOptions = {}, chat: RetentionOptions = {}): RetentionOf {
  const { size = 100, ttl = 300_000, bytes = 4 * mib } = history
  const ofAll = { size, ttl, bytes }
  const ofChats = {
    size: chat.size ?? Math.max(10_000, size),
    ttl: chat.ttl ?? Math.max(3_600_000, ttl),
    bytes: chat.bytes ?? Math.max(16 * mib, bytes)
  }
  return channel => channel.startsWith('chat:') ? ofChats : ofAll
}

/** The meta of a channel, its epoch and head, outlives its publications: no offset is given twice in one epoch. */
export function metaTtlOf ({ ttl }: Pick<Retention, 'ttl'>): number {
  return Math.max(24 * 60 * 60 * 1_000, 2 * ttl)
}

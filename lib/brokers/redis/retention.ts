export interface Retention {
  /** How many publications of a channel can be recovered. */
  size: number
  /** For how long they can be, in milliseconds. */
  ttl: number
}

/** A retention as an option: what is missing has a default. */
export type RetentionOptions = { [K in keyof Retention]?: Retention[K] | undefined }

/** What Redis keeps of a channel, by its name. */
export type RetentionOf = (channel: string) => Retention

/** Of a chat Redis keeps the pieces in which it was written, of which its log makes messages: many more, and longer. */
export function retentionOf (history: RetentionOptions = {}, chat: RetentionOptions = {}): RetentionOf {
  const { size = 100, ttl = 300_000 } = history
  const { size: chatSize = Math.max(10_000, size), ttl: chatTtl = Math.max(3_600_000, ttl) } = chat
  const ofAll = { size, ttl }
  const ofChats = { size: chatSize, ttl: chatTtl }
  return channel => channel.startsWith('chat:') ? ofChats : ofAll
}

/** The meta of a channel, its epoch and head, outlives its publications: no offset is given twice in one epoch. */
export function metaTtlOf ({ ttl }: Retention): number {
  return Math.max(24 * 60 * 60 * 1_000, 2 * ttl)
}

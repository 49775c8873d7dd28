import type { Retention, StoredRetention } from '../brokers/broker.js'

const mib = 1024 * 1024

/**
 * Retention of chats. A shared store keeps the deltas that the log of a chat merges into messages. It therefore keeps more
 * publications than the log, for longer, and by default four times the bytes of `limits.run`: a run publishes its text twice, as
 * deltas and as a whole, and must be kept whole.
 * Default: 10,000 publications, 3,600 s, 16 MiB, or the values of `history` where they are larger.
 */
export function chatRetention (history: StoredRetention = {}, chat: StoredRetention = {}): Retention {
  const most = (own: number | undefined, least: number, other: number | undefined) => own ?? Math.max(least, other ?? 0)
  return {
    stored: {
      size: most(chat.size, 10_000, history.size),
      ttl: most(chat.ttl, 3_600_000, history.ttl),
      bytes: most(chat.bytes, 16 * mib, history.bytes)
    }
  }
}

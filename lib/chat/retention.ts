import type { Retention, StoredRetention } from '../brokers/broker.js'

const mib = 1024 * 1024

/**
 * Of a chat a shared store keeps the pieces in which it was written, of which its log makes messages: many more, for longer, and by
 * default four times the bytes of `limits.run`. A run publishes its text twice, in pieces and as a whole, and is kept whole.
 * Default: 10,000 publications, 3,600 s, 16 MiB, or what `history` says where that is more.
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

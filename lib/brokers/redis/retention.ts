import { inspect } from 'node:util'
import { errors } from '../../errors.js'

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

/**
 * Of a chat Redis keeps the pieces in which it was written, of which its log makes messages: many more, and longer.
 * Throws RT_ERR_OPTIONS.
 */
export function retentionOf (history: RetentionOptions = {}, chat: RetentionOptions = {}): RetentionOf {
  const { size = 100, ttl = 300_000 } = history
  const { size: chatSize = Math.max(10_000, size), ttl: chatTtl = Math.max(3_600_000, ttl) } = chat
  const ofAll = { size, ttl }
  const ofChats = { size: chatSize, ttl: chatTtl }
  for (const [option, retention] of Object.entries({ history: ofAll, chat: ofChats })) {
    for (const [name, value] of Object.entries(retention)) checkCount(`${option}.${name}`, value)
  }
  return channel => channel.startsWith('chat:') ? ofChats : ofAll
}

/** Throws RT_ERR_OPTIONS unless Redis can count so far. */
export function checkCount (name: string, value: unknown): void {
  if (Number.isInteger(value) && Number(value) >= 0 && Number(value) < 2 ** 48) return
  throw new errors.OPTIONS(`'${name}' for Redis is ${inspect(value)}. Pass a whole number, 0 or more`)
}

/** The meta of a channel, its epoch and head, outlives its publications: no offset is given twice in one epoch. */
export function metaTtlOf ({ ttl }: Retention): number {
  return Math.max(24 * 60 * 60 * 1_000, 2 * ttl)
}

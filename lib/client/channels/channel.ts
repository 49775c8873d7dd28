import { kindPattern, type AnswersOf, type KindName, type MessagesOf } from '../../protocol/kind-name.js'
import type { DataField } from '../../protocol/data-field.js'
import type { Envelope } from '../../protocol/envelope.js'
import { idPattern, isId } from '../../protocol/ids.js'
import type { PresenceOf } from '../../protocol/member.js'
import type { Closed } from '../error.js'
import type { Resume, Status } from '../status.js'
import type { ChannelPresence } from './presence.js'

/** @inline */
export type ChannelData<K, T> = T extends keyof MessagesOf<K> ? MessagesOf<K>[T] : unknown
/** @inline */
export type ChannelAnswer<K, T> = T extends keyof AnswersOf<K> ? AnswersOf<K>[T] : unknown
export type ChannelEnvelope<K, T extends string> = T extends keyof MessagesOf<K> ? Omit<Envelope<T>, 'data'> & DataField<MessagesOf<K>[T]> : Envelope<T>
/** @inline */
export type TypeOf<K> = (keyof MessagesOf<K> & string) | (string & {})

/** Name of a channel on the wire. Throws a TypeError if the kind or the id is invalid. */
export function channelName (kind: string, id: string): string {
  if (!new RegExp(kindPattern).test(kind) || !isId(id)) throw new TypeError(`channel '${kind}:${id}' does not match ${kindPattern}:${idPattern}`)
  return `${kind}:${id}`
}

/** One use of a channel on the connection of a client, until `close`. */
export interface Channel<K extends string = KindName> {
  /** `open` once subscribed; `closed` after `closed` is set; `waiting` while the server cannot decide, or the client is not connected. */
  readonly status: Status
  /**
   * Why the channel has ended; `undefined` unless its status is `closed`. `reason` is that of the server, such as `forbidden` or `removed`,
   * or that of the client's close.
   */
  readonly closed: Closed | undefined
  /** Members of the channel, if its kind has presence. Empty after `close`. */
  readonly presence: ChannelPresence<PresenceOf<K>>
  /**
   * Calls `listener` with each message of a type, or for `'*'` with each envelope. Returns a function that removes the listener.
   */
  on (type: '*', listener: (envelope: Envelope) => unknown): () => void
  on<T extends TypeOf<K>> (type: T, listener: (data: ChannelData<K, T>, envelope: ChannelEnvelope<K, T>) => unknown): () => void
  /** Calls `listener` with each new status, and for `closed` with the close. Returns a function that removes the listener. */
  onStatus (listener: (status: Status, closed: Closed | undefined) => unknown): () => void
  /** Calls `listener` after each reconnect, and when publications were missed. Returns a function that removes the listener. */
  onResume (listener: (resume: Resume) => unknown): () => void
  /** Sends a message to the channel's handler of its type. Resolves and rejects like `send` of the client. */
  send<T extends TypeOf<K>> (type: T, data?: ChannelData<K, T>, options?: { timeout?: number | undefined }): Promise<void>
  /** Like `send`. Resolves with what the handler returned, for types with a schema in the `answers` of the kind. */
  request<T extends TypeOf<K>> (type: T, data?: ChannelData<K, T>, options?: { timeout?: number | undefined }): Promise<ChannelAnswer<K, T>>
  /** Subscribes again after `close`, or after the channel has ended. Resumes where it stopped. */
  reopen (): void
  /** Ends this use until `reopen`. The connection unsubscribes 5 s after the last use of the channel has ended. */
  close (): void
}

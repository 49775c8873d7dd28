import type { Static, TSchema } from '@sinclair/typebox'

/** Pattern of the names of channel kinds. */
export const kindPattern = '^[a-z][a-z0-9_]{0,31}$'

/**
 * The app's channel kinds, by name. Apps add their own:
 *
 *     declare module 'fastify-realtime' { interface Channels { board: typeof board } }
 */
export interface Channels {}

/** Names of channel kinds: those in `Channels`, or any if there is none. */
export type KindName = keyof Channels extends never ? string : keyof Channels & string

/** @inline */
type Typed<K, F extends 'messages' | 'answers'> = K extends keyof Channels
  ? Channels[K] extends { readonly [P in F]?: infer S } ? { [T in keyof S]: S[T] extends TSchema ? Static<S[T]> : never } : {}
  : {}

/** Types of `data` of the messages of a channel kind, by message type. */
export type MessagesOf<K> = Typed<K, 'messages'>

/** Types of the answers of a channel kind, by the type of the message that is answered. */
export type AnswersOf<K> = Typed<K, 'answers'>

import { Type, type TSchema } from '@sinclair/typebox'

/** Presence of a channel kind. */
export interface PresenceOptions<D extends TSchema = TSchema> {
  /** Schema of the own data of a connection. Default: any value. */
  readonly data?: D | undefined
  /** Number of members above which clients get their number only. Default: 200. */
  readonly max?: number | undefined
}

/** Default of `max`. */
export const defaultMax = 200

/** The option `presence` of a channel kind or of chats. */
export const presenceSchema = Type.Union([
  Type.Literal(true),
  Type.Object({
    data: Type.Optional(Type.Object({}, { expected: 'a TypeBox schema, such as Type.Object({})' })),
    max: Type.Optional(Type.Integer({ minimum: 1, maximum: 10_000 }))
  }, { additionalProperties: false })
], { expected: 'true, or { data, max } with a TypeBox schema and a whole number from 1 to 10000, such as { data: Type.Object({}), max: 200 }' })

import { Type, type TSchema } from '@sinclair/typebox'
import { idPattern } from './ids.js'

/** ISO 8601 UTC, as `Date.prototype.toISOString` writes it. */
export const Timestamp = Type.String({ format: 'date-time' })

/** User, workflow, app and chat ids. */
export const Id = Type.String({ minLength: 1, maxLength: 128, pattern: idPattern })

/** Name of a message type or of an action. */
export const Name = Type.String({ minLength: 1, maxLength: 128 })

/** Allows further fields: apps add their own to the common fields of `data`. */
export function open<T extends TSchema> (schema: T) {
  return Type.Intersect([schema, Type.Record(Type.String(), Type.Unknown())])
}

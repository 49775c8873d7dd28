import { Type, type TSchema } from '@sinclair/typebox'
import { idPattern } from './ids.js'

/** ISO 8601 UTC, as `Date.prototype.toISOString` writes it. */
export const Timestamp = Type.String({ format: 'date-time' })

/** User, workflow, app and chat ids. */
export const Id = Type.String({ minLength: 1, maxLength: 128, pattern: idPattern })

/** The name of a message type, and of an action. */
export const Name = Type.String({ minLength: 1, maxLength: 128 })

/** Keeps the object open: apps put more into `data` than the common fields. */
export function open<T extends TSchema> (schema: T) {
  return Type.Intersect([schema, Type.Record(Type.String(), Type.Unknown())])
}

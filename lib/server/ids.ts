import { errors } from '../errors.js'
import { isId } from '../protocol/ids.js'

/** Returns `id`. Throws RT_ERR_INVALID_ID if it is not an id. */
export function checkId (id: unknown): string {
  if (isId(id)) return id
  throw new errors.INVALID_ID(shown(id))
}

/** Describes an invalid id for an error message, in at most 140 characters for a string. */
export function shown (id: unknown): string {
  if (typeof id === 'string') return JSON.stringify(id).slice(0, 140)
  return typeof id === 'object' && id !== null ? 'An object' : String(id)
}

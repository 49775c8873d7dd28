import { errors } from '../../errors.js'
import { caught } from '../reports/caught.js'
import { jsonForm } from './json-form.js'

/** A message as the app passes it. */
export interface Outgoing {
  type: string
  action?: string
  data?: unknown
  message?: string
  timestamp?: string
}

const fields = ['type', 'action', 'data', 'message', 'timestamp']

/** Message types whose `data` is copied. */
export interface CopiedTypes {
  has (type: string): boolean
}

const all: CopiedTypes = { has: () => true }

/**
 * Returns the JSON form of a message, with its fields in the order in which they are sent. Each field is read once, so that a check of
 * the result holds for the sent message. Throws RT_ERR_INVALID_MESSAGE or RT_ERR_MESSAGE_TOO_LARGE.
 */
export function outgoing<M extends object> (message: M, maxBytes: number, copied: CopiedTypes = all): M & Outgoing {
  try {
    return formOf(message as unknown as Outgoing, maxBytes, copied) as M & Outgoing
  } catch (error) {
    throw messageError(error)
  }
}

/** Error of a message that cannot be encoded. Getters, Proxies, `toJSON` and formats of the app can throw any value. */
export function messageError (thrown: unknown): Error {
  const isOurs = thrown instanceof errors.INVALID_MESSAGE || thrown instanceof errors.MESSAGE_TOO_LARGE
  return isOurs ? thrown : new errors.INVALID_MESSAGE(`it cannot be read (${caught(thrown).message.split('\n', 1)[0]})`)
}

function formOf (given: Outgoing, maxBytes: number, copied: CopiedTypes): Outgoing {
  if (typeof given !== 'object' || given === null) throw new errors.INVALID_MESSAGE('Expected an object, such as { type, data }')
  for (const field in given) {
    if (!fields.includes(field) && Object.hasOwn(given, field)) throw new errors.INVALID_MESSAGE(`/${field} is not a field of a message. Put it into 'data'`)
  }
  const { type, action, data, message, timestamp } = given
  const form: Outgoing = { type: checkedText('type', type, maxBytes)! }
  if (action !== undefined) form.action = checkedText('action', action, maxBytes)
  if (data !== undefined) form.data = jsonForm(data, 'data', { isCopied: copied.has(form.type), maxBytes })
  if (message !== undefined) form.message = checkedText('message', message, maxBytes)
  if (timestamp !== undefined) form.timestamp = checkedText('timestamp', timestamp, maxBytes)
  return form
}

/** JSON form of a field whose schema is a string. */
function checkedText (field: string, value: string | undefined, maxBytes: number): string | undefined {
  if (typeof value === 'string' || value === undefined) return value
  return jsonForm(value, field, { isCopied: true, maxBytes }) as string
}

import type { TSchema } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import { errors } from '../../errors.js'
import { compiled } from './catalogue.js'
import { formatFault } from './formats.js'
import { jsonForm } from './json-form.js'

/** Where the schema of an answer is. */
export interface AnswerSchema {
  readonly schema: TSchema
  /** Option that contains the schema. */
  readonly option: string
  /** Type of the message that is answered. */
  readonly type: string
}

/**
 * Returns a function that turns the result of a handler into the JSON of an answer; `undefined` for no result, if the schema matches that.
 * It throws a TypeError if the result does not match the schema, RT_ERR_INVALID_MESSAGE if JSON cannot represent it, and
 * RT_ERR_MESSAGE_TOO_LARGE. Throws RT_ERR_OPTIONS if the schema cannot be used.
 */
export function answerFrom ({ schema, option, type }: AnswerSchema, maxBytes: number): (returned: unknown) => string | undefined {
  const fault = formatFault(schema)
  if (fault !== undefined) throw new errors.OPTIONS(`${option}: the schema of '${type}' ${fault}`)
  const check = compiled(schema, option, type)
  return returned => {
    // Fields outside of the schema are not sent. `Clean` changes the copy that `jsonForm` makes.
    const form = returned === undefined ? undefined : Value.Clean(schema, jsonForm(returned, 'answer', { isCopied: true, maxBytes }))
    const fault = check.Errors(form).First()
    if (fault !== undefined) {
      const where = fault.path === '' ? '' : ` at ${fault.path}`
      throw new TypeError(`the handler of '${type}' returned a value that does not match its schema in '${option}'${where}: ${fault.message}`)
    }
    if (form === undefined) return undefined
    const json = JSON.stringify(form)
    const bytes = Buffer.byteLength(json)
    if (bytes > maxBytes) throw new errors.MESSAGE_TOO_LARGE(bytes, maxBytes)
    return json
  }
}

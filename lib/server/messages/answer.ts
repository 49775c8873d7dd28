import type { TSchema } from '@sinclair/typebox'
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
 * Returns a function that turns the result of a handler into the JSON of an answer. It throws a TypeError if the result does not match the
 * schema, and RT_ERR_MESSAGE_TOO_LARGE. Throws RT_ERR_OPTIONS if the schema cannot be used.
 */
export function answerFrom ({ schema, option, type }: AnswerSchema, maxBytes: number): (returned: unknown) => string {
  const fault = formatFault(schema)
  if (fault !== undefined) throw new errors.OPTIONS(`${option}: the schema of '${type}' ${fault}`)
  const check = compiled(schema, option, type)
  return returned => {
    const form = jsonForm(returned, 'answer', { isCopied: true, maxBytes })
    const { path, message } = check.Errors(form).First() ?? {}
    if (message !== undefined) throw new TypeError(`the handler of '${type}' returned a value that does not match '${option}': ${path} ${message}`)
    const json = JSON.stringify(form)
    const bytes = Buffer.byteLength(json)
    if (bytes > maxBytes) throw new errors.MESSAGE_TOO_LARGE(bytes, maxBytes)
    return json
  }
}

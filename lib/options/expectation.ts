import { inspect } from 'node:util'
import type { TSchema } from '@sinclair/typebox'

/** Additional keywords in the schema of an option. */
export interface Expected {
  /** Description of valid values, best with an example: completes a sentence that begins with "It must be". */
  expected?: string
  /** Whether the value may contain a password: no error then shows it. */
  isSecret?: boolean
}

const expectations: Record<string, string | ((schema: TSchema) => string)> = {
  integer: ({ minimum, maximum }) =>
    maximum === undefined ? `a whole number of ${minimum} or more` : `a whole number from ${minimum} to ${maximum}`,
  boolean: 'true or false',
  string: 'a string',
  array: 'an array',
  object: schema => `a plain object, such as ${exampleOf(schema)}`,
  Function: 'a function'
}

/** Describes the valid values of an option. */
export function expectationOf (schema: TSchema & Expected): string {
  if (schema.expected !== undefined) return schema.expected
  if (schema.anyOf !== undefined) return schema.anyOf.map((choice: TSchema) => inspect(choice.const)).join(' or ')
  const expectation = expectations[schema.type]
  return typeof expectation === 'string' ? expectation : expectation(schema)
}

/** Example of valid options: that of the schema, or the first option with a default. */
export function exampleOf ({ examples, properties = {} }: TSchema): string {
  if (examples !== undefined) return inspect(examples[0])
  const [first] = Object.entries<TSchema>(properties).filter(([, part]) => part.default !== undefined && part.properties === undefined)
  return first === undefined ? '{}' : inspect({ [first[0]]: first[1].default })
}

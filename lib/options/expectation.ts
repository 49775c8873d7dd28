import { inspect } from 'node:util'
import type { TSchema } from '@sinclair/typebox'

/** What the schema of an option may say beside what JSON Schema has. */
export interface Expected {
  /** What a value must be, best with an example: the end of a sentence that begins with "It must be". */
  expected?: string
  /** The value may have a password in it: no error shows it. */
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

/** What a value of an option must be, in words. */
export function expectationOf (schema: TSchema & Expected): string {
  if (schema.expected !== undefined) return schema.expected
  if (schema.anyOf !== undefined) return schema.anyOf.map((choice: TSchema) => inspect(choice.const)).join(' or ')
  const expectation = expectations[schema.type]
  return typeof expectation === 'string' ? expectation : expectation(schema)
}

/** Options as an app may write them: the example of the schema, or the first option that has a default. */
export function exampleOf ({ examples, properties = {} }: TSchema): string {
  if (examples !== undefined) return inspect(examples[0])
  const [first] = Object.entries<TSchema>(properties).filter(([, part]) => part.default !== undefined && part.properties === undefined)
  return first === undefined ? '{}' : inspect({ [first[0]]: first[1].default })
}

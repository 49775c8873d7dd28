import { inspect } from 'node:util'
import type { TObject, TSchema } from '@sinclair/typebox'
import { Value, ValueErrorType, type ValueError } from '@sinclair/typebox/value'
import { errors } from '../errors.js'
import type { Contradiction } from './define.js'
import { exampleOf, expectationOf, type Expected } from './expectation.js'
import { nearNames } from './near-names.js'

/** Maximum characters of a wrong string value in an error. */
const shownLength = 80

/**
 * Throws RT_ERR_OPTIONS if an option is unknown or has a wrong value. The error names the given value and the expected one. `owner` names
 * the function that takes the options, such as `redisBroker`; without it, they are those of the plugin.
 */
export function checkOptions (schema: TObject, given: unknown, owner?: string): void {
  const of = owner === undefined ? '' : ` of ${owner}`
  if (!isObject(given)) throw new errors.OPTIONS(`the options${of} must be an object, such as ${exampleOf(schema)}`)
  checkSections(schema, given, owner)
  const fault = Value.Errors(schema, { ...given }).First()
  if (fault === undefined) return
  const name = nameOf(fault.path)
  throw new errors.OPTIONS(isUnknown(fault) ? unknown(name, schema, namesBeside(fault), of) : wrong(name, fault, of))
}

/**
 * Throws RT_ERR_OPTIONS if a section is not a plain object. Call it before defaults are filled in: TypeBox accepts any object there, such
 * as an array or a Map, and adds the defaults.
 */
export function checkSections (schema: TObject, given: object, owner?: string): void {
  const values: Record<string, unknown> = { ...given }
  for (const [name, part] of Object.entries<TSchema>(schema.properties)) {
    const value = values[name]
    if (part.type !== 'object' || value === undefined || isPlain(value)) continue
    throw new errors.OPTIONS(wrong(name, { schema: part, value }, owner === undefined ? '' : ` of ${owner}`))
  }
}

/** Throws RT_ERR_OPTIONS with the cure of the first contradiction, if there is one. */
export function refuseContradictions (contradictions: readonly Contradiction[]): void {
  for (const [isWrong, cure] of contradictions) if (isWrong) throw new errors.OPTIONS(cure)
}

/** Whether a value is an object as a literal or `import * as` creates it. */
export function isPlain (value: unknown): value is object {
  if (!isObject(value)) return false
  const prototype = Object.getPrototypeOf(value)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

function isObject (value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

function isUnknown ({ type }: ValueError): boolean {
  return type === ValueErrorType.ObjectAdditionalProperties
}

/** Name of an option from its path: `/limits/rate` is `limits.rate`. */
function nameOf (path: string): string {
  return path.slice(1).replaceAll('/', '.').replaceAll('~1', '/').replaceAll('~0', '~')
}

function wrong (name: string, { schema, value }: Pick<ValueError, 'schema' | 'value'>, of: string): string {
  const { isSecret } = schema as Expected
  const expectation = expectationOf(schema)
  if (isSecret === true) return `option '${name}'${of} must be ${expectation}`
  return `option '${name}'${of} is ${inspect(value, { depth: 0, maxStringLength: shownLength })}. It must be ${expectation}`
}

function unknown (name: string, schema: TObject, beside: string[], of: string): string {
  return `there is no option '${name}'${of}. ${cureOf(name, schema, beside)}`
}

/** `more`: names of options that `schema` has beside those of its sections. */
function cureOf (name: string, schema: TObject, more: string[]): string {
  const names = [...new Set([...namesOf(schema), ...more])]
  const section = name.slice(0, Math.max(0, name.lastIndexOf('.')))
  // The key contains a dot.
  if (names.includes(name)) return `Write it in a section: { ${section}: { ${name.slice(section.length + 1)}: … } }`
  const near = nearNames(name, names)
  if (near.length > 0) return `Did you mean ${near.map(quoted).join(' or ')}?`
  const beside = names.filter(option => option.startsWith(`${section}.`)).map(option => option.slice(section.length + 1))
  return beside.length > 0 ? `In '${section}' there are ${listed(beside)}` : `The options are ${listed(Object.keys(schema.properties))}`
}

/** Names of the options beside an unknown one: in an entry of a record, `namesOf` does not find them. */
function namesBeside ({ path, schema }: ValueError): string[] {
  const entry = path.slice(0, path.lastIndexOf('/'))
  return entry === '' ? [] : namesOf(schema as TObject, `${nameOf(entry)}.`)
}

/** Names of all options of a schema: the sections and their contents. */
function namesOf (schema: TObject, section = ''): string[] {
  return Object.entries<TSchema>(schema.properties).flatMap(([key, part]) => {
    const name = section + key
    return part.properties === undefined ? [name] : [name, ...namesOf(part as TObject, `${name}.`)]
  })
}

function quoted (name: string): string {
  return `'${name}'`
}

function listed (names: string[]): string {
  const [last, ...others] = names.map(quoted).reverse()
  return others.length === 0 ? last : `${others.reverse().join(', ')} and ${last}`
}

import { FormatRegistry, type TSchema } from '@sinclair/typebox'

/** Where a schema holds values, or schemas by the app's own names: 'format' is no keyword there. */
const valueKeywords = ['default', 'examples', 'const', 'enum']
const nameKeywords = ['properties', 'patternProperties', '$defs']

/** What is wrong with a schema's formats, if anything is: TypeBox finds every value wrong when it does not know one. */
export function formatFault (schema: TSchema): string | undefined {
  const format = unknownFormat(schema)
  return format && `uses the format '${format}', which TypeBox does not know. Define it with FormatRegistry.Set('${format}', value => …)`
}

function unknownFormat (schema: unknown, seen = new Set<unknown>()): string | undefined {
  if (typeof schema !== 'object' || schema === null || seen.has(schema)) return undefined
  seen.add(schema)
  const { format } = schema as { format?: unknown }
  if (typeof format === 'string' && !FormatRegistry.Has(format)) return format
  for (const [keyword, part] of Object.entries(schema)) {
    if (valueKeywords.includes(keyword)) continue
    const parts = nameKeywords.includes(keyword) ? Object.values(part) : [part]
    for (const each of parts) {
      const found = unknownFormat(each, seen)
      if (found !== undefined) return found
    }
  }
  return undefined
}

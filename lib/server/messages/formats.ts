import { FormatRegistry, type TSchema } from '@sinclair/typebox'

/** Keywords whose contents are values, or schemas by names of the app: 'format' is not a keyword there. */
const valueKeywords = ['default', 'examples', 'const', 'enum']
const nameKeywords = ['properties', 'patternProperties', '$defs']

/** Fault of a schema with an unknown format; `undefined` if there is none. TypeBox rejects every value of an unknown format. */
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

// The fields of frames, as their schemas have them.
import type { TSchema } from '@sinclair/typebox'

/** The names of the fields of `data`, by the schema of a type. None for a type without `data`, or whose `data` can be anything. */
export function dataFieldsOf (schema: TSchema | undefined): { required: string[], optional: string[] } {
  // `data` may be missing, and may have more fields than these.
  const whole = schema?.anyOf?.[0] ?? schema
  const { properties = {}, required = [] }: { properties?: object, required?: string[] } = whole?.allOf?.[0] ?? whole ?? {}
  return { required, optional: Object.keys(properties).filter(name => !required.includes(name)) }
}

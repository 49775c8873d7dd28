/**
 * User, workflow, app and chat ids, as a pattern of JSON Schema: 1 to 128 characters that need no escaping in a path, a log
 * line or a Redis key. `.` and `..` are no ids: URL parsers remove such segments, percent-encoded too, and the path is another one.
 */
export const idPattern = '^(?!\\.{1,2}$)[A-Za-z0-9_.@:+~|-]{1,128}$'

/** The same rule in words, for error messages. */
export const idRule = "Ids are 1 to 128 characters, letters, digits and _ . @ : + ~ - |, and neither '.' nor '..', which a URL would remove"

const validId = new RegExp(idPattern)

export function isId (value: unknown): value is string {
  return typeof value === 'string' && validId.test(value)
}

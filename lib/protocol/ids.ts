/**
 * Pattern of user, workflow, app and chat ids for JSON Schema: 1 to 128 characters that need no escaping in a path, a log line or a
 * Redis key. `.` and `..` are not ids: URL parsers remove such segments from a path, even when they are percent-encoded.
 */
export const idPattern = '^(?!\\.{1,2}$)[A-Za-z0-9_.@:+~|-]{1,128}$'

/** The same rule in words, for error messages. */
export const idRule = "Ids are 1 to 128 characters, letters, digits and _ . @ : + ~ - |, and neither '.' nor '..', which a URL would remove"

const validId = new RegExp(idPattern)

export function isId (value: unknown): value is string {
  return typeof value === 'string' && validId.test(value)
}

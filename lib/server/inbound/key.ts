/** A key of several parts: other parts never make the same key, whatever characters are in them. */
export function keyOf (...parts: string[]): string {
  return JSON.stringify(parts)
}

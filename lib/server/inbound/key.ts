/** Joins parts into a key. Different parts never make the same key, whatever characters they contain. */
export function keyOf (...parts: string[]): string {
  return JSON.stringify(parts)
}

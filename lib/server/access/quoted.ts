/** A header of a client for a message: at most 100 characters, and what is not printable ASCII is escaped. */
export function quoted (text: string): string {
  const short = text.length > 100 ? `${text.slice(0, 100)}...` : text
  return JSON.stringify(short).replace(/[^\x20-\x7e]/g, character => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

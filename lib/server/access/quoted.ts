/** Quotes a client's header for a message: cut to 100 characters, with everything but printable ASCII escaped. */
export function quoted (text: string): string {
  const short = text.length > 100 ? `${text.slice(0, 100)}...` : text
  return JSON.stringify(short).replace(/[^\x20-\x7e]/g, character => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

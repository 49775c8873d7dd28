import type { Envelope } from '../protocol/envelope.js'

/** What a frame says; `undefined` when it is none of this protocol. */
export function parse (data: unknown): Envelope | undefined {
  try {
    const envelope = JSON.parse(String(data))
    return typeof envelope?.type === 'string' ? envelope : undefined
  } catch {
    return undefined
  }
}

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

const ofConnection = ['connection_ack', 'pong', 'ack', 'error', 'resync', 'renewed']

/** Whether it is a message, and not a frame of the connection itself. */
export function isMessage ({ type }: Envelope): boolean {
  return !ofConnection.includes(type)
}

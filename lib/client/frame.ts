import type { Envelope } from '../protocol/envelope.js'

/** Parses a frame; `undefined` when it is not a frame of this protocol. */
export function parse (data: unknown): Envelope | undefined {
  try {
    const envelope = JSON.parse(String(data))
    if (typeof envelope?.type === 'string') return envelope
  } catch {
    // Not JSON.
  }
}

const ofConnection = ['connection_ack', 'pong', 'ack', 'error', 'resync', 'renewed', 'subscribed', 'unsubscribed', 'presence']

/** Whether a frame is a message, not a connection-level frame. */
export function isMessage ({ type }: Envelope): boolean {
  return !ofConnection.includes(type)
}

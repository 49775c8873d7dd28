import type { Inbound } from '../../protocol/envelope.js'
import type { ErrorCode } from '../../protocol/error-codes.js'

/** Why a frame is answered with `error`. */
export interface Fault {
  code: ErrorCode
  message: string
  ref?: Inbound['ref']
}

/** Thrown by a handler of the plugin's own: the client is told why. */
export class Refusal extends Error {
  readonly code: ErrorCode

  constructor (code: ErrorCode, message: string) {
    super(message)
    this.code = code
  }
}

/** Codes of what a client that keeps the rules does not send: sent often, they close the connection. */
const offences: ReadonlyArray<ErrorCode> = ['bad_json', 'bad_message', 'unknown_type']

export function isOffence ({ code }: Fault): boolean {
  return offences.includes(code)
}

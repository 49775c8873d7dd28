import type { Inbound } from '../../protocol/envelope.js'
import type { ErrorCode } from '../../protocol/error-codes.js'

/** Content of the `error` that answers a frame. */
export interface Fault {
  code: ErrorCode
  message: string
  ref?: Inbound['ref']
}

/** Thrown by handlers of this package. The client gets the code and the message. */
export class Refusal extends Error {
  readonly code: ErrorCode

  constructor (code: ErrorCode, message: string) {
    super(message)
    this.code = code
  }
}

/** Codes of frames that a correct client does not send. Several of them within a minute close the connection. */
const offences: ReadonlyArray<ErrorCode> = ['bad_json', 'bad_message', 'unknown_type']

export function isOffence ({ code }: Fault): boolean {
  return offences.includes(code)
}

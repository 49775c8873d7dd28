import { Value } from '@sinclair/typebox/value'
import { closeCodes } from '../../protocol/close-codes.js'
import { Renewal as RenewalData, type Inbound } from '../../protocol/envelope.js'
import type { Connection } from '../connection/connection.js'
import type { Identity, Renew } from '../hooks.js'
import { Refusal } from '../inbound/fault.js'
import { caught } from '../reports/caught.js'
import { redacted } from '../reports/redacted.js'
import type { Refusals } from '../reports/refusals.js'
import type { Timers } from '../../time/timers.js'
import { codesOf, isClientError, type Access } from './access.js'
import { expiresIn, identityOf, renewalFault } from './identity.js'
import { within } from '../../time/within.js'

export interface CredentialRenewalParts {
  renew: Renew
  /** Maximum time for `renew` and `authorize` together, in ms. */
  timeout: number
  access: Access
  refusals: Refusals
  timers: Timers
  /** Called when a connection has a new identity. */
  onRenewed: (connection: Connection, isHidden: boolean) => unknown
}

/** Result of a new credential that was accepted. */
interface Renewed {
  identity: Identity
  /** Whether its identity may stay connected to the target. */
  isAllowed: boolean
  /** Whether it is not listed in the presence of the target. */
  isHidden: boolean
}

/** Handles the message `renew`: new credentials of connected clients. */
export class CredentialRenewal {
  readonly #parts: CredentialRenewalParts

  constructor (parts: CredentialRenewalParts) {
    this.#parts = parts
  }

  async handle ({ data }: Inbound, connection: Connection): Promise<void> {
    if (!Value.Check(RenewalData, data)) throw new Refusal('bad_message', '/data must be { token }')
    const renewed = await this.#renewed(data.token, connection)
    if (renewed === undefined) throw new Refusal('renew_refused', 'this credential is not accepted')
    // An expiry timer would keep an ended connection in memory until the credential expires.
    if (connection.isEnding) return
    const { identity, isAllowed, isHidden } = renewed
    if (!isAllowed) return connection.close(closeCodes.FORBIDDEN.code)
    connection.renew(identity)
    this.#parts.onRenewed(connection, isHidden)
    connection.control('renewed', { data: { expires_in_ms: expiresIn(identity) } })
  }

  /** Identity of a new credential, and whether it may stay connected; `undefined` if the credential is refused. Never rejects. */
  async #renewed (token: string, connection: Connection): Promise<Renewed | undefined> {
    const { timers, timeout, refusals } = this.#parts
    connection.noteAddress()
    try {
      return await within(timeout, this.#ask(token, connection), timers)
    } catch (thrown) {
      const error = caught(thrown)
      if (isClientError(error)) refusals.add('renew_refused', connection.client, codesOf(error))
      else refusals.add('renew_failed', connection.client, undefined, () => redacted(error, [token]))
      return undefined
    }
  }

  /** Calls `renew`, then `authorize`. */
  async #ask (token: string, connection: Connection): Promise<Renewed | undefined> {
    const { renew, access, refusals } = this.#parts
    const identity = await identityOf('renew', renew(token, connection))
    const fault = renewalFault(identity, connection.userId)
    if (fault !== undefined) {
      refusals.add('renew_refused', connection.client, fault)
      return undefined
    }
    const { denial, isHidden } = await access.decide(identity!, connection.target)
    if (denial !== undefined) refusals.add(denial.reason, connection.client, denial.detail)
    return { identity: identity!, isAllowed: denial === undefined, isHidden }
  }
}

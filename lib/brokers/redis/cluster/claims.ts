import { createHash } from 'node:crypto'
import type { Keys } from '../keys.js'
import type { RedisLink } from '../link/link.js'
import { claim } from '../commands/claim.js'

/** Maximum number of claims of a holder. A holder that makes more within their lifetime loses the oldest. */
export const maxClaims = 1_000

/** Bytes of a digest. Two claims of a holder collide with a probability of 1 in 2 ** 109. */
const digestBytes = 16

/** Claims of messages, in one sorted set per user. */
export class Claims {
  readonly #link: RedisLink
  readonly #keys: Keys

  constructor (link: RedisLink, keys: Keys) {
    this.#link = link
    this.#keys = keys
  }

  async claim (holder: string, key: string, ms: number): Promise<boolean> {
    return claim(this.#link, { claims: this.#keys.claims(holder), claim: digestOf(key), ms, kept: maxClaims })
  }
}

function digestOf (key: string): string {
  return createHash('sha256').update(key).digest().toString('base64url', 0, digestBytes)
}

import { createHash } from 'node:crypto'
import type { Keys } from '../keys.js'
import type { RedisLink } from '../link/link.js'
import { claim } from '../commands/claim.js'

/** Claims kept of one holder: whoever makes more within their time loses the oldest. */
export const maxClaims = 1_000

/** Bytes of a digest. Two of the claims of a holder are taken for one with a probability of 1 in 2 ** 109. */
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

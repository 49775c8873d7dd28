import { time } from './lua.js'
import { script, type Runner } from './script.js'

/**
 * Claims something for a holder, unless it is claimed already. Keeps only unexpired claims of the holder, and of these the newest.
 * KEYS: claims of the holder, by time of expiry. ARGV: the claim, its lifetime in ms, maximum number of claims. Returns 1 for a first one.
 */
export const claimScript = script('claim', `${time}
local claims, ms = KEYS[1], tonumber(ARGV[2])
local lasts = redis.call('ZSCORE', claims, ARGV[1])
if lasts and tonumber(lasts) > now then return 0 end
redis.call('ZADD', claims, now + ms, ARGV[1])
redis.call('ZREMRANGEBYSCORE', claims, '-inf', now)
for _, oldest in ipairs(redis.call('ZRANGE', claims, 0, -tonumber(ARGV[3]) - 1)) do redis.call('ZREM', claims, oldest) end
if redis.call('PTTL', claims) < ms then redis.call('PEXPIRE', claims, ms) end
return 1
`)

export interface ClaimRequest {
  readonly claims: string
  readonly claim: string
  readonly ms: number
  /** Maximum number of claims of a holder. */
  readonly kept: number
}

/** Resolves with whether it is the first claim. */
export async function claim (link: Runner, { claims, claim, ms, kept }: ClaimRequest): Promise<boolean> {
  return await link.run(claimScript, [claims], [claim, ms, kept]) === 1
}

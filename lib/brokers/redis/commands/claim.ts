import { time } from './lua.js'
import { script, type Runner } from './script.js'

/**
 * Claims something for a holder unless it is claimed already. Of a holder only claims that last are kept, and the newest of these.
 * KEYS: claims of the holder, by their ends. ARGV: the claim, ms that it lasts, how many are kept. Returns 1 when it is the first.
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
  /** Number of claims kept of a holder. */
  readonly kept: number
}

/** Whether it is the first claim. */
export async function claim (link: Runner, { claims, claim, ms, kept }: ClaimRequest): Promise<boolean> {
  return await link.run(claimScript, [claims], [claim, ms, kept]) === 1
}

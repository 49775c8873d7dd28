import type { StreamHead } from './read.js'
import { script, type Runner } from './script.js'

/**
 * Reads the heads of channels. KEYS: the meta of each. ARGV: ttl in ms of metas without their own. It is renewed when half of it is over.
 * Returns epoch, head and mark of each; empty texts and 0 for an unknown channel.
 */
export const headsScript = script('heads', `
local result = {}
for _, meta in ipairs(KEYS) do
  local known = redis.call('HMGET', meta, 'e', 'o', 'm', 'r')
  local ttl = tonumber(string.match(known[4] or '', '^%S+ %S+ %S+ (%S+)$') or ARGV[1])
  if known[1] and redis.call('PTTL', meta) < ttl / 2 then redis.call('PEXPIRE', meta, ttl) end
  result[#result + 1] = known[1] or ''
  result[#result + 1] = tonumber(known[2] or 0)
  result[#result + 1] = known[3] or ''
end
return result
`)

/** Heads of the channels with these metas; `undefined` for a channel that Redis does not have. `metaTtl` in ms. */
export async function heads (link: Runner, metas: string[], metaTtl: number): Promise<Array<StreamHead | undefined>> {
  const found = await link.run(headsScript, metas, [metaTtl]) as Array<string | number>
  return metas.map((_meta, at) => {
    const [epoch, offset, mark] = found.slice(at * 3, at * 3 + 3) as [string, number, string]
    return epoch === '' ? undefined : { epoch, offset, mark }
  })
}

import { createHash } from 'node:crypto'

/** A Lua script, run by its digest. */
export interface Script {
  /** Name in the log. */
  readonly name: string
  readonly text: string
  readonly sha: string
}

/** Runs scripts: a `RedisLink`. Rejects with the errors of Redis and ioredis. */
export interface Runner {
  run (script: Script, keys: string[], args: Array<string | number>): Promise<unknown>
}

export function script (name: string, text: string): Script {
  return { name: `the script '${name}'`, text, sha: createHash('sha1').update(text).digest('hex') }
}

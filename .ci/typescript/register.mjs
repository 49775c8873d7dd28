// `node --import ./.ci/typescript/register.mjs file.ts` runs TypeScript, and a test under the rule of test/leaks.ts.
import { register } from 'node:module'
import { isMainThread } from 'node:worker_threads'

register('./hooks.mjs', import.meta.url)
if (isMainThread && /\.test\.ts$/.test(process.argv[1])) await import('../../test/leaks.ts')

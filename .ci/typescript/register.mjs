// `node --import ./.ci/typescript/register.mjs file.ts` runs TypeScript, and a test under the rule of test/leaks.ts. Files that
// compile.mjs has written need only the rule.
import { register } from 'node:module'
import { isMainThread } from 'node:worker_threads'

const [, main = ''] = process.argv
const isCompiled = /[\\/]\.compiled[\\/]/.test(main)
if (!isCompiled) register('./hooks.mjs', import.meta.url)
if (isMainThread && /\.test\.[jt]s$/.test(main)) await import(isCompiled ? '../../.compiled/test/leaks.js' : '../../test/leaks.ts')

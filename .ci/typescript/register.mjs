// `node --import ./.ci/typescript/register.mjs file.ts` runs TypeScript.
import { register } from 'node:module'

register('./hooks.mjs', import.meta.url)

import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The folder of the package. The tests also run from .compiled, where a relative path leads elsewhere. */
export const root = dirname(fileURLToPath(import.meta.resolve('fastify-realtime/package.json')))

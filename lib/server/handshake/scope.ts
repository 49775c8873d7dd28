import type { FastifyInstance } from 'fastify'

/** Whether an instance is that of an encapsulated plugin: Fastify makes it an heir of the instance that the plugin is registered on. */
export function isChild (fastify: FastifyInstance): boolean {
  return 'register' in Object.getPrototypeOf(fastify)
}

/** Whether an app has loaded a plugin, in whatever scope; `hasPlugin` knows those of one scope and of the scopes around it. */
export function isLoaded (fastify: FastifyInstance, name: string): boolean {
  // One line for each plugin: lines of the tree, the name, and the milliseconds that it took.
  return fastify.printPlugins().split('\n').some(line => line.replace(/^[│├└─┬ ]+/, '').replace(/ -?\d+ ms$/, '') === name)
}

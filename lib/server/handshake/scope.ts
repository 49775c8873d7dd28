import type { FastifyInstance } from 'fastify'

/** Whether an instance belongs to an encapsulated plugin: it then inherits from the instance on which the plugin is registered. */
export function isChild (fastify: FastifyInstance): boolean {
  return 'register' in Object.getPrototypeOf(fastify)
}

/** Whether an app has loaded a plugin in any scope. `hasPlugin` knows only plugins of one scope and of the scopes around it. */
export function isLoaded (fastify: FastifyInstance, name: string): boolean {
  // One line per plugin: lines of the tree, the name, and the time that it took, in ms.
  return fastify.printPlugins().split('\n').some(line => line.replace(/^[│├└─┬ ]+/, '').replace(/ -?\d+ ms$/, '') === name)
}

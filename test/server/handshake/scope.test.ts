import Fastify, { type FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import t from 'tap'
import { isChild, isLoaded } from '../../../lib/server/handshake/scope.js'

t.test('isChild() is true inside an encapsulated plugin, and false for the root and its plugins without encapsulation', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  const seen: Record<string, boolean> = { root: isChild(app) }
  await app.register(fp(async scope => { seen.broken = isChild(scope) }))
  await app.register(async scope => {
    seen.encapsulated = isChild(scope)
    await scope.register(fp(async below => { seen.brokenBelow = isChild(below) }))
  })
  await app.register(async scope => { seen.prefixed = isChild(scope) }, { prefix: '/a' })
  t.strictSame(seen, { root: false, broken: false, encapsulated: true, brokenBelow: true, prefixed: true })
})

t.test('isLoaded() finds a plugin in every scope, and only by its exact name', async t => {
  const named = fp(async () => {}, { name: '@scope/plugin' })
  const nested = async (scope: FastifyInstance) => { await scope.register(async below => { await below.register(named) }) }
  for (const plugin of [named, nested, fp(nested, { name: 'other' })]) {
    const app = Fastify()
    t.teardown(() => app.close())
    t.equal(isLoaded(app, '@scope/plugin'), false)
    await app.register(plugin)
    t.equal(isLoaded(app, '@scope/plugin'), true)
  }
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(async () => '@scope/plugin')
  await app.register(fp(async () => {}, { name: '@scope/plugin-two' }))
  await app.register(fp(async () => {}, { name: 'not-@scope/plugin' }))
  t.equal(isLoaded(app, '@scope/plugin'), false)
})

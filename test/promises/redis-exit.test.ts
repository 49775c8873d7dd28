import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { build } from 'esbuild'
import t from 'tap'
import { forkChild } from '../children.js'
import { fixture } from '../process.js'
import { RedisServer, freePort, skipRedis } from '../redis-server.js'
import { root } from '../root.js'

/** Time for a process to end once it has nothing to do, in ms. */
const patience = 10_000

t.test('a process whose registrations fail exits by itself, with and without a running Redis', { skip: skipRedis }, async t => {
  const { port } = await RedisServer.start(t, ['--requirepass', 'right'])
  const file = join(root, `node_modules/.cache/fastify-realtime/fail-${process.pid}.mjs`)
  await build({ entryPoints: [fixture('register-and-fail.js')], outfile: file, bundle: true, packages: 'external', platform: 'node', format: 'esm' })
  t.teardown(() => rmSync(file, { force: true }))
  const child = forkChild(file, [`redis://:right@127.0.0.1:${port}`, `redis://127.0.0.1:${await freePort()}`], { execArgv: [] })
  t.teardown(() => child.kill('SIGKILL'))

  const [outcomes] = await once(child, 'message') as [Array<[string, string]>]
  t.ok(outcomes.length > 20)
  for (const [name, outcome] of outcomes) t.not(outcome, 'did not fail', `${name}: ${outcome}`)
  const codes = new Map(outcomes)
  t.equal(codes.get('a Redis that refuses'), 'RT_ERR_BROKER_REFUSED')
  t.equal(codes.get('an unknown option'), 'RT_ERR_OPTIONS')
  const [code] = await once(child, 'exit', { signal: AbortSignal.timeout(patience) })
  t.equal(code, 0)
})

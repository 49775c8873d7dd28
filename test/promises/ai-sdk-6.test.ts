import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import { fixture } from '../process.js'
import { root } from '../root.js'

const run = (args: string[], env: object = {}) =>
  promisify(execFile)(process.execPath, args, { cwd: root, env: { ...process.env, ...env } })

t.test('the messages of useChat are those of the own transport of the AI SDK 6, too', async t => {
  const loaders = [...process.execArgv, '--import', fixture('ai-6/register.mjs')]
  const { stdout } = await run([...loaders, fileURLToPath(import.meta.resolve('./ai-sdk-equivalence.test.js'))], { AI_SDK: '6', RUNS: process.env.FULL === '1' ? '200' : '5' })
  t.match(stdout, /^# file:.*\/node_modules\/ai-6\//m, 'the process has used it')
})

t.test('the transport and the server adapter compile with the types of the AI SDK 6', async t => {
  // Tap puts its loader into NODE_OPTIONS of every child. The loader cannot load the compiler.
  const compile = ['-u', 'NODE_OPTIONS', process.execPath, 'node_modules/typescript-7/bin/tsc', '-p', 'test/fixtures/ai-6']
  await t.resolves(promisify(execFile)('env', compile, { cwd: root }))
})

import { once } from 'node:events'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { spawnChild } from '../children.js'
import { root } from '../root.js'
import { within } from '../waiting.js'

const skipGit = !existsSync(join(root, '.git')) && 'no git repository'

/** Runs the benchmark's command line, with a folder of the test for temporary files. */
function bench (temporary: string, ...args: string[]) {
  const child = spawnChild(process.execPath, ['bench/run.mjs', ...args], { cwd: root, env: { ...process.env, TMPDIR: temporary } }, 'TERM')
  let output = ''
  for (const stream of [child.stdout!, child.stderr!]) stream.setEncoding('utf8').on('data', text => { output += text })
  const ended = within(once(child, 'close'), `the end of the benchmark ${args}`, 60_000).then(([code]) => ({ code, output }))
  return { child, ended }
}

t.test('a wrong command line prints one line that names the cure, and exits with 2 before any measurement', async t => {
  const temporary = t.testdir()
  const cases: Array<[args: string[], message: RegExp]> = [
    [['--only', 'W1,W99'], /^--only: there is no workload W99: choose from W1-1000, W1, .*W16, W16r, W17.*\n$/],
    [['--rounds', 'many'], /^--rounds many: give a whole number from 1\n$/],
    [['--rounds', '0'], /^--rounds 0: give a whole number from 1\n$/],
    [['--agains', 'HEAD'], /^Unknown option '--agains'.*\n$/],
    [['--against', 'no-such-commit'], /^There is no commit 'no-such-commit' in this repository: give --against a hash, a branch or a tag/],
    [['--against=--all'], /^There is no commit '--all'/]
  ]
  for (const [args, message] of cases) {
    const { code, output } = await bench(temporary, ...args).ended
    t.equal(code, 2, args.join(' '))
    t.match(output, message)
    t.equal(output.trim().split('\n').length, 1, output)
  }
  t.strictSame(readdirSync(temporary), [])
})

t.test('a comparison that is interrupted while it builds leaves no folder behind', { skip: skipGit }, async t => {
  for (const [signal, code] of [['SIGINT', 130], ['SIGTERM', 143]] as const) {
    const temporary = t.testdir()
    const { child, ended } = bench(temporary, '--against', 'HEAD')
    const early = ended.then(({ output }) => { throw new Error(output) })
    const [line] = await Promise.race([once(child.stdout!, 'data'), early])
    t.match(line, /HEAD \([0-9a-f]+\)/)
    t.match(readdirSync(temporary), [/^fastify-realtime-bench-/])
    child.kill(signal)
    t.equal((await ended).code, code)
    t.strictSame(readdirSync(temporary), [], signal)
  }
})

// What `npm test` runs after the build: the unit tests and, beside them, the checks without a test runner. The checks have the lowest
// priority, so they take the time in which the tests wait. Their output comes after that of the tests.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { constants, setPriority } from 'node:os'

const run = (script, output) => spawn('npm', ['run', script], { stdio: ['ignore', output, output] })

const checks = run('test:checks', 'pipe')
setPriority(checks.pid, constants.priority.PRIORITY_LOW)
let found = ''
for (const stream of [checks.stdout, checks.stderr]) stream.setEncoding('utf8').on('data', text => { found += text })

const ends = await Promise.all([once(checks, 'close'), once(run('test:unit', 'inherit'), 'close')])
console.log(found)
// The code is null after a signal.
process.exitCode = ends.every(([code]) => code === 0) ? 0 : 1

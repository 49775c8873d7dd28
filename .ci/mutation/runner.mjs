// Stryker's test runner of `npm run mutate`: each mutant is tried in a process of its own, which runs only those tests of its guards (the
// test files named for its file) that reach it, and ends with the first failure.
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { createInterface } from 'node:readline'
import path from 'node:path'
import { PluginKind, commonTokens, declareClassPlugin, tokens } from '@stryker-mutator/api/plugin'

/** Time between the end of a run that takes too long and the time when Stryker would end this process, too, in ms. */
const margin = 500

/** A killed test leaves temporary files: here they go with Stryker's copy of the package. */
const temporary = path.resolve('.compiled/tmp')

class GuardRunner {
  static inject = tokens(commonTokens.options)
  #guards
  #sample

  constructor ({ guards, sample }) {
    this.#guards = guards
    this.#sample = sample
  }

  capabilities () {
    return { reloadEnvironment: true }
  }

  /** Runs all tests without a mutant. A test counts as covering only mutants of the files that it guards. */
  async dryRun () {
    mkdirSync(temporary, { recursive: true })
    const tests = []
    const perTest = {}
    for (const guard of new Set(Object.values(this.#guards).flat())) {
      const own = new Set(Object.keys(this.#guards).filter(name => this.#guards[name].includes(guard)).flatMap(mutantsIn))
      const start = Date.now()
      const { failure, report } = await observe(guard)
      if (failure !== undefined) return { status: 'error', errorMessage: `test/${guard}.test.ts: ${failure}` }
      // With an equal share of the time in which the file starts: Stryker would give what is left over to each mutant.
      const startMs = Date.now() - start - report.tests.reduce((sum, ms) => sum + ms, 0)
      for (const [index, ms] of report.tests.entries()) {
        const id = `${guard}#${index}`
        tests.push({ id, name: id, status: 0, timeSpentMs: ms + startMs / report.tests.length })
        const hits = Object.entries({ ...report.static, ...report.perTest[index] }).filter(([mutant]) => own.has(mutant))
        perTest[id] = Object.fromEntries(hits)
      }
    }
    return { status: 'complete', tests, mutantCoverage: { static: {}, perTest } }
  }

  async mutantRun ({ activeMutant, sandboxFileName, testFilter, hitLimit, timeout }) {
    if (!isSampled(activeMutant, this.#sample)) return { status: 'error', errorMessage: 'not in the sample' }
    const env = { __STRYKER_ACTIVE_MUTANT__: activeMutant.id, HIT_LIMIT: String(hitLimit) }
    const end = Date.now() + timeout - margin
    for (const guard of this.#guards[path.relative('lib', sandboxFileName).slice(0, -3)]) {
      const indexes = testFilter.map(id => id.split('#')).filter(([name]) => name === guard).map(([, index]) => index)
      if (indexes.length === 0) continue
      const failure = await runGuard(guard, [indexes.join()], env, end - Date.now())
      if (failure === timedOut) return { status: 'timeout' }
      if (failure !== undefined) return { status: 'killed', killedBy: [`${guard}#${indexes[0]}`], failureMessage: failure, nrOfTests: 1 }
    }
    return { status: 'survived', nrOfTests: testFilter.length }
  }
}

const timedOut = 'timed out'

/** The same mutants in each run of the same files. */
export function isSampled ({ id }, sample) {
  return createHash('sha1').update(id).digest().readUInt32BE() % 100 < sample
}

/** Ids of the mutants that Stryker has put into a file. */
function mutantsIn (name) {
  return [...readFileSync(`lib/${name}.ts`, 'utf8').matchAll(/stryMutAct_9fa48\("(\d+)"\)/g)].map(([, id]) => id)
}

/** Runs a test file without a mutant, and once more if it fails, because tests can be late on a busy machine. */
async function observe (guard) {
  const REPORT = `.compiled/report-${process.pid}.json`
  const failure = await runGuard(guard, [], { REPORT }, 600_000) && await runGuard(guard, [], { REPORT }, 600_000)
  if (failure !== undefined) return { failure }
  const report = JSON.parse(readFileSync(REPORT, 'utf8'))
  rmSync(REPORT)
  return { report }
}

/** The first failure of a test file, or undefined. */
function runGuard (guard, args, env, timeout) {
  return new Promise(resolve => {
    const child = spawn(process.execPath, [
      '--experimental-vm-modules', '--no-warnings', '.ci/mutation/run-guard.cjs', `.compiled/test/${guard}.test.js`, ...args
    ], { env: { ...process.env, TMPDIR: temporary, ...env }, stdio: ['ignore', 'pipe', 'REPORT' in env ? 'inherit' : 'ignore'] })
    let failure
    const stop = reason => {
      failure ??= reason
      child.kill('SIGKILL')
    }
    const timer = setTimeout(stop, timeout, timedOut)
    createInterface(child.stdout).on('line', line => {
      if (/^ *not ok (?!.*# (TODO|SKIP))/.test(line)) stop(line.trim())
    })
    child.on('exit', code => {
      clearTimeout(timer)
      if (code !== 0) failure ??= `exit code ${code}`
      resolve(failure)
    })
  })
}

export const strykerPlugins = [declareClassPlugin(PluginKind.TestRunner, 'guards', GuardRunner)]

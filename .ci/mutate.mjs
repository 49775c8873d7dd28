// Puts single faults ("mutants") into files of lib/, one at a time, and runs the tests that guard the file: `npm run mutate -- protocol`
// for a folder without its subfolders, `npm run mutate -- brokers/budget` for a file. `--sample 20` takes a random fifth of the mutants,
// always the same, and `--jobs 2` runs two at a time. Prints every mutant that no test notices, and the score: the share of mutants that
// one does. The whole report is in reports/mutation. Not part of `npm test`, because a mutant takes 0.3 s or more of CPU time.
import { existsSync, readdirSync, statSync } from 'node:fs'
import { posix, relative } from 'node:path'
import { parseArgs } from 'node:util'
import { Stryker } from '@stryker-mutator/core'
import { guardsOf } from './mutation/guards.mjs'
import { isSampled } from './mutation/runner.mjs'

const { positionals: paths, values } = parseArgs({
  allowPositionals: true,
  options: { sample: { type: 'string', default: '100' }, jobs: { type: 'string', default: '1' } }
})
const sample = Number(values.sample)
const guards = Object.fromEntries(paths.flatMap(namesIn).map(name => [name, guardsOf(name)]))
const guarded = Object.keys(guards).filter(name => guards[name].length > 0)

if (guarded.length === 0) {
  console.error(`Name a folder or a file of lib that has tests, as in 'npm run mutate -- brokers/budget': '${paths.join(' ')}' is none.`)
  process.exit(2)
}

// The same time as in .taprc: of mutants that wait for something that never comes, the runner ends the process earlier.
process.env.TAP_TIMEOUT ??= '240'

// Stryker has written why a test fails without a mutant.
const all = await new Stryker(options()).runMutationTest().catch(() => process.exit(1))
const mutants = all.filter(mutant => isSampled(mutant, sample))
for (const { fileName, status, location: { start }, mutatorName, replacement } of mutants.filter(isMissed)) {
  console.log(`${relative('', fileName)}:${start.line}:${start.column} ${status} ${mutatorName} ${replacement.split('\n', 1)[0]}`)
}
for (const name of guarded) console.log(summary(name, mutants.filter(mutant => nameOf(mutant) === name)))
for (const path of paths) console.log(summary(`all of ${path}`, mutants.filter(mutant => namesIn(path).includes(nameOf(mutant)))))
for (const name of Object.keys(guards).filter(name => !guarded.includes(name))) console.log(`lib/${name}.ts has no test of its own`)

/** Files of lib in a folder without its subfolders, or the one file, without their extension. */
function namesIn (path) {
  const isFolder = statSync(`lib/${path}`, { throwIfNoEntry: false })?.isDirectory() === true
  const files = isFolder ? readdirSync(`lib/${path}`).map(file => posix.join(path, file)) : [`${path.replace(/\.ts$/, '')}.ts`]
  return files.filter(file => file.endsWith('.ts') && existsSync(`lib/${file}`)).map(file => file.slice(0, -3)).sort()
}

function nameOf ({ fileName }) {
  return relative('lib', fileName).slice(0, -3)
}

function options () {
  const name = paths.join(' ').replace(/\W/g, '-').slice(0, 100)
  return {
    mutate: guarded.map(name => `lib/${name}.ts`),
    buildCommand: 'node .ci/mutation/build.mjs',
    plugins: [new URL('mutation/runner.mjs', import.meta.url).pathname],
    testRunner: 'guards',
    guards,
    sample,
    coverageAnalysis: 'perTest',
    // A mutant that hangs is ended after 1.5 times the time of its tests and 3 s.
    timeoutMS: 3_000,
    timeoutFactor: 1.5,
    dryRunTimeoutMinutes: 30,
    concurrency: Number(values.jobs),
    // The types of a mutant do not matter: they are removed.
    disableTypeChecks: false,
    ignorePatterns: ['/dist', '/.compiled', '/reports', '/coverage', '/.tap', '/*.tgz'],
    reporters: ['html', 'json'],
    htmlReporter: { fileName: `reports/mutation/${name}.html` },
    jsonReporter: { fileName: `reports/mutation/${name}.json` },
    // It warns of the options of the test runner, which it does not know.
    logLevel: 'error',
    tempDirName: '.stryker-tmp',
    cleanTempDir: 'always'
  }
}

function isMissed ({ status }) {
  return status === 'Survived' || status === 'NoCoverage'
}

function isNoticed ({ status }) {
  return status === 'Killed' || status === 'Timeout'
}

function summary (name, mutants) {
  const noticed = mutants.filter(isNoticed).length
  const missed = mutants.filter(isMissed).length
  const score = noticed + missed === 0 ? 100 : noticed / (noticed + missed) * 100
  const count = String(noticed + missed).padStart(4)
  return `${score.toFixed(1).padStart(5)} % of ${count} mutants noticed, ${String(missed).padStart(3)} missed: ${name}`
}

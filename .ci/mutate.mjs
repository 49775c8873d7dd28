// Puts single faults ("mutants") into files of lib/, one at a time, and runs the test of the same name: `npm run mutate -- protocol`
// for a folder without its subfolders, `npm run mutate -- brokers/channel-log` for a file. Prints every mutant that the test does not
// notice, and the score: the share of mutants that it does. The whole report is in reports/mutation. Not part of `npm test`, because a
// mutant takes 1 s or more.
import { existsSync, readdirSync, statSync } from 'node:fs'
import { Stryker } from '@stryker-mutator/core'

const [path = ''] = process.argv.slice(2)
const isFolder = statSync(`lib/${path}`, { throwIfNoEntry: false })?.isDirectory() === true
const names = isFolder
  ? readdirSync(`lib/${path}`).filter(name => name.endsWith('.ts')).map(name => `${path}/${name.slice(0, -3)}`).sort()
  : [path.replace(/\.ts$/, '')]
const guarded = names.filter(name => existsSync(`lib/${name}.ts`) && existsSync(`test/${name}.test.ts`))

if (path === '' || guarded.length === 0) {
  console.error(`Name a folder or a file of lib that has tests, as in 'npm run mutate -- brokers/budget': '${path}' is none.`)
  process.exit(2)
}

// The same time as in .taprc: of mutants that wait for something that never comes, Stryker ends the process earlier.
process.env.TAP_TIMEOUT ??= '120'

const results = []
for (const name of guarded) {
  const result = { name, ...count(await mutantsOf(name)) }
  results.push(result)
  console.log(summary(result))
}
if (isFolder) console.log(summary({ name: `all of ${path}`, ...sum(results) }))
for (const name of names.filter(name => !guarded.includes(name))) console.log(`lib/${name}.ts has no test of its own`)

async function mutantsOf (name) {
  const mutants = await new Stryker(optionsOf(name)).runMutationTest()
  for (const { status, location: { start }, mutatorName, replacement } of mutants.filter(isMissed)) {
    console.log(`lib/${name}.ts:${start.line}:${start.column} ${status} ${mutatorName} ${replacement.split('\n', 1)[0]}`)
  }
  return mutants
}

function optionsOf (name) {
  return {
    mutate: [`lib/${name}.ts`],
    buildCommand: 'node .ci/typescript/compile.mjs',
    testRunner: 'tap',
    tap: { testFiles: [`.compiled/test/${name}.test.js`], nodeArgs: ['-r', '{{hookFile}}', '{{testFile}}'] },
    timeoutMS: 10_000,
    concurrency: 1,
    // The types of a mutant do not matter: they are removed.
    disableTypeChecks: false,
    ignorePatterns: ['/dist', '/.compiled', '/reports', '/coverage', '/.tap', '/*.tgz'],
    reporters: ['html', 'json'],
    htmlReporter: { fileName: `reports/mutation/${name}.html` },
    jsonReporter: { fileName: `reports/mutation/${name}.json` },
    // It warns that the test's JavaScript is not among the files that it has read.
    logLevel: 'error',
    tempDirName: '.stryker-tmp',
    cleanTempDir: 'always'
  }
}

function isMissed ({ status }) {
  return status === 'Survived' || status === 'NoCoverage'
}

function count (mutants) {
  const of = (...wanted) => mutants.filter(({ status }) => wanted.includes(status)).length
  return { noticed: of('Killed', 'Timeout'), missed: of('Survived', 'NoCoverage') }
}

function sum (counts) {
  return { noticed: total(counts.map(({ noticed }) => noticed)), missed: total(counts.map(({ missed }) => missed)) }
}

function total (numbers) {
  return numbers.reduce((sum, number) => sum + number, 0)
}

function summary ({ name, noticed, missed }) {
  const mutants = noticed + missed
  const score = mutants === 0 ? 100 : noticed / mutants * 100
  return `${score.toFixed(1).padStart(5)} % of ${String(mutants).padStart(4)} mutants noticed, ${String(missed).padStart(3)} missed: ${name}`
}

// Runs a compiled test file under the rule of test/leaks.ts: `node --experimental-vm-modules run-guard.cjs <file> [<indexes>]`, with the
// packages of build.mjs. The indexes, separated by commas, name the tests of the file to run. With REPORT, the path of a file,
// writes there which mutants each test has reached, and writes the code cache.
const { existsSync, readFileSync, writeFileSync } = require('node:fs')
const { createRequire } = require('node:module')
const { resolve } = require('node:path')
const { fileURLToPath, pathToFileURL } = require('node:url')
const { Script, SourceTextModule, SyntheticModule } = require('node:vm')

const { REPORT } = process.env
const [, , file, indexes] = process.argv
const compiled = resolve('.compiled')
const bundle = resolve(compiled, 'packages.cjs')
const cache = `${file}.cache`

// As the test file would see it: test/leaks.ts reads it, and so does what the test starts.
process.argv.splice(1, 3, resolve(file))

const script = new Script(readFileSync(bundle, 'latin1'), {
  filename: bundle,
  cachedData: existsSync(cache) ? readFileSync(cache) : undefined
})
const bundled = { exports: {} }
script.runInThisContext()(createRequire(bundle), bundled, bundle, compiled)

const modules = new Map()
const evaluations = new Map()

/** A module that an import names. */
function moduleOf (specifier, { identifier }) {
  if (isPath(specifier)) return ownModule(urlOf(specifier, identifier))
  const known = modules.get(specifier)
  if (known !== undefined) return known
  if (specifier.startsWith('node:')) return wrapped(specifier, require(specifier))
  const load = bundled.exports[specifier]
  if (load === undefined) return import(specifier).then(exports => wrapped(specifier, exports, exports.default))
  const exports = load()
  // Which values are the smallest that fail does not matter here.
  if (specifier === 'fast-check') exports.configureGlobal({ endOnFailure: true })
  return wrapped(specifier, exports, bundled.isModule[specifier] ? exports.default : exports)
}

function isPath (specifier) {
  return /^(\.|file:)/.test(specifier)
}

function urlOf (specifier, referrer) {
  return isPath(specifier) ? new URL(specifier, referrer).href : pathToFileURL(createRequire(referrer).resolve(specifier)).href
}

function ownModule (url) {
  const known = modules.get(url)
  if (known !== undefined) return known
  const module = new SourceTextModule(readFileSync(fileURLToPath(url), 'utf8'), {
    identifier: url,
    initializeImportMeta: meta => Object.assign(meta, { url, resolve: specifier => urlOf(specifier, url) }),
    importModuleDynamically: async (specifier, referrer) => evaluated(await moduleOf(specifier, referrer))
  })
  modules.set(url, module)
  return module
}

function wrapped (specifier, exports, standard = exports) {
  const names = Object.keys(exports).filter(name => name !== 'default')
  const module = new SyntheticModule([...names, 'default'], () => {
    for (const name of names) module.setExport(name, exports[name])
    module.setExport('default', standard)
  })
  modules.set(specifier, module)
  return module
}

/** Evaluates a module once, although several imports of it may run at the same time. */
function evaluated (module) {
  if (!evaluations.has(module)) evaluations.set(module, evaluate(module))
  return evaluations.get(module)
}

async function evaluate (module) {
  if (module.status === 'unlinked') await module.link(moduleOf)
  await module.evaluate()
  return module
}

/** Runs only the wanted tests of the file, and records which one runs. */
function select (t, mutants) {
  const wanted = indexes?.split(',').map(Number)
  const tests = []
  const { test } = t
  const selected = async (...args) => {
    const index = tests.push(0) - 1
    if (wanted?.includes(index) === false) return
    const action = args.pop()
    let start = 0
    const result = await test.call(t, ...args, subtest => {
      start = performance.now()
      // Of tests that run at the same time nobody knows which one reaches a mutant.
      if (t.jobs === 1) mutants.currentTestId = String(index)
      return action(subtest)
    })
    if (mutants.currentTestId === String(index)) mutants.currentTestId = undefined
    tests[index] = performance.now() - start
    return result
  }
  Object.defineProperty(t, 'test', { value: selected })
  return tests
}

async function run () {
  const mutants = globalThis.__stryker__ = { hitCount: 0, hitLimit: Number(process.env.HIT_LIMIT ?? Infinity) }
  const t = bundled.exports.tap()
  await evaluated(ownModule(pathToFileURL(resolve(compiled, 'test/leaks.js')).href))
  const tests = select(t, mutants)
  // A promise that nothing resolves ends the process, too.
  let isComplete = false
  process.on('exit', () => {
    if (!isComplete) process.exitCode ||= 13
    if (REPORT !== undefined) report(tests, mutants)
  })
  await evaluated(ownModule(pathToFileURL(file).href))
  isComplete = true
}

function report (tests, { mutantCoverage = { static: {}, perTest: {} } }) {
  writeFileSync(REPORT, JSON.stringify({ tests, ...mutantCoverage }))
  writeFileSync(cache, script.createCachedData())
}

run()

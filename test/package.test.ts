import { execFile } from 'node:child_process'
import {
  appendFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, statSync, symlinkSync,
  writeFileSync
} from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { basename, dirname, join, relative } from 'node:path'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { linkFaults } from './docs/link.js'
import { every, found } from './every.js'
import { RedisServer, skipRedis } from './redis-server.js'
import { root } from './root.js'

/** With `FULL=1` the compilers that take a minute, TypeScript 5.9 and 6, compile an app in every module resolution, not only in one. */
const isFull = process.env.FULL === '1'

// The compilers take most of it, and longer where they share the processors.
t.setTimeout(900_000)

const execute = promisify(execFile)

/** Runs a command without what tap puts into NODE_OPTIONS of every child: its loader. A failure has what the command wrote, too. */
async function run (cwd: string, command: string, ...args: string[]): Promise<{ stdout: string, stderr: string }> {
  return execute('env', ['-u', 'NODE_OPTIONS', command, ...args], { cwd, maxBuffer: 64 * 1024 * 1024 })
}

interface Manifest {
  version: string
  dependencies: Record<string, string>
  devDependencies: Record<string, string>
  peerDependencies: Record<string, string>
  peerDependenciesMeta: Record<string, { optional: boolean }>
  exports: Record<string, string | { types: string, default: string }>
  repository: { url: string }
}

const manifestOf = (folder: string): Manifest => JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
const { version, dependencies, devDependencies, peerDependencies, peerDependenciesMeta: meta, exports, repository } = manifestOf(root)
const optionalPeers = Object.keys(peerDependencies).filter(name => meta[name]?.optional === true)

/** The commands of three versions of TypeScript, by the names under which package.json installs them. */
const compilers = { 5.9: 'typescript-5', 6: 'typescript', 7: 'typescript-7' }

const resolutions = {
  nodenext: { module: 'nodenext' },
  node20: { module: 'node20' },
  bundler: { module: 'esnext', moduleResolution: 'bundler' },
  preserve: { module: 'preserve' }
}

const flags = {
  strict: true,
  exactOptionalPropertyTypes: true,
  skipLibCheck: false,
  // TypeScript's own lib.*.d.ts: the same for every package.
  skipDefaultLibCheck: true,
  verbatimModuleSyntax: true,
  noEmit: true,
  target: 'es2022'
}

/** Packs the package as it is published. `npm test` has built it. */
async function pack (folder: string): Promise<string> {
  await run(root, 'npm', 'pack', '--ignore-scripts', '--pack-destination', folder)
  await run(folder, 'tar', '-xzf', `fastify-realtime-${version}.tgz`)
  return join(folder, 'package')
}

/** A folder outside of this repository with the package, and what npm would install with it and with these others. */
function install (folder: string, packed: string, others: string[]): void {
  cpSync(packed, join(folder, 'node_modules/fastify-realtime'), { recursive: true })
  const done = new Set<string>()
  for (const name of [...Object.keys(dependencies), ...others]) installTypes(name, root, folder, done)
  checkOnlyOurs(folder)
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
}

/** Copies the declarations of a package, and of those it depends on, from what this repository has installed: npm would ask a registry. */
function installTypes (name: string, from: string, folder: string, done: Set<string>): void {
  const source = find(name, from)
  if (source === undefined || done.has(source)) return
  done.add(source)
  cpSync(source, join(folder, relative(root, source)), { recursive: true, filter: isDeclaration })
  const { dependencies, peerDependencies, peerDependenciesMeta: meta }: Partial<Manifest> = manifestOf(source)
  const peers = Object.keys(peerDependencies ?? {}).filter(peer => meta?.[peer]?.optional !== true)
  for (const needed of [...Object.keys(dependencies ?? {}), ...peers]) installTypes(needed, source, folder, done)
}

/** Where Node finds a package from a folder of this repository. */
function find (name: string, from: string): string | undefined {
  const found = join(from, 'node_modules', name)
  if (existsSync(found)) return found
  return from === root ? undefined : find(name, dirname(from))
}

function isDeclaration (path: string): boolean {
  if (statSync(path).isDirectory()) return !path.endsWith('/node_modules')
  return path.endsWith('/package.json') || /\.d\.[cm]?ts$/.test(path)
}

/**
 * Has the compilers use the declarations of the other packages without checking them: what is wrong there is not this package's, and
 * they take most of the time.
 */
function checkOnlyOurs (folder: string): void {
  const modules = join(folder, 'node_modules')
  for (const file of readdirSync(modules, { recursive: true, encoding: 'utf8' })) {
    if (file.startsWith('fastify-realtime/') || !/\.d\.[cm]?ts$/.test(file)) continue
    const path = join(modules, file)
    writeFileSync(path, `// @ts-nocheck\n${readFileSync(path, 'utf8')}`)
  }
}

/** Makes a project of the app with these files and options. Returns its folder. */
function project (folder: string, name: string, files: string[], options: object): string {
  for (const file of files) cpSync(join(root, 'test/consumer', file), join(folder, name, file))
  writeFileSync(join(folder, name, 'tsconfig.json'), JSON.stringify({ compilerOptions: { ...flags, ...options }, files }))
  return name
}

/** Compiles projects with one version. The diagnostics in files of the app and of this package, and those without a file. */
async function compile (folder: string, compiler: string, projects: string[]): Promise<string[]> {
  const command = [join(root, 'node_modules', compiler, 'bin/tsc'), '--build', '--verbose', '--pretty', 'false', ...projects]
  // It fails where there are diagnostics.
  const { stdout, stderr } = await run(folder, process.execPath, '--max-semi-space-size=64', ...command).catch(failed => failed)
  const diagnostics: string[] = []
  let current = ''
  for (const line of stdout.split('\n')) {
    current = /Building project '(.*)\/tsconfig\.json'/.exec(line)?.[1] ?? current
    const file = /^(?:(.*)\(\d+,\d+\): )?error TS/.exec(line)
    if (file !== null && !isOfOthers(file[1] ?? '')) diagnostics.push(`${current}: ${line}`)
  }
  const notBuilt = projects.filter(name => !existsSync(join(folder, name, 'tsconfig.tsbuildinfo')))
  return [...diagnostics, ...notBuilt.map(name => `${name} was not built: ${stdout}${stderr}`)]
}

function isOfOthers (file: string): boolean {
  return file.includes('node_modules/') && !file.startsWith('node_modules/fastify-realtime/')
}

const folder = realpathSync(mkdtempSync(join(tmpdir(), 'fastify-realtime-package-')))
t.teardown(() => rmSync(folder, { recursive: true }))
const packed = await pack(mkdtempSync(join(folder, 'packed-')))

t.test('an app that uses every entry point compiles in every module resolution, with exactOptionalPropertyTypes and without skipLibCheck', async t => {
  const app = join(folder, 'app')
  install(app, packed, [...Object.keys(peerDependencies), '@types/node', '@types/react'])
  const options = { lib: ['es2022', 'dom', 'dom.iterable', 'dom.asynciterable'], types: ['node'] }
  const compileAll = (compiler: string, names = Object.keys(resolutions)) => {
    const projects = Object.entries(resolutions).filter(([name]) => names.includes(name)).map(([name, resolution]) =>
      project(app, `${compiler}/${name}`, ['known.ts', 'server.ts', 'page.ts'], { ...options, ...resolution }))
    return compile(app, compiler, projects)
  }
  // Each version in one process: its code gets fast with the first project.
  t.strictSame(await compileAll(compilers[5.9], isFull ? undefined : ['nodenext']), [], 'TypeScript 5.9')
  t.strictSame(await compileAll(compilers[6], isFull ? undefined : ['bundler']), [], 'TypeScript 6')
  t.strictSame(await compileAll(compilers[7]), [], 'TypeScript 7')
})

t.test('a server without the optional peers compiles, and so does a page without Fastify and the types of Node', async t => {
  const server = join(folder, 'server')
  install(server, packed, ['fastify', '@types/node'])
  for (const name of optionalPeers) t.notOk(existsSync(join(server, 'node_modules', name)), `${name} is not there`)
  project(server, 'plain', ['known.ts', 'plain-server.ts'], { module: 'nodenext', lib: ['es2022'], types: ['node'] })
  t.strictSame(await compile(server, compilers[7], ['plain']), [])

  const page = join(folder, 'page')
  install(page, packed, ['react', '@types/react'])
  project(page, 'plain', ['known.ts', 'plain-page.ts'], { ...resolutions.bundler, lib: ['es2022', 'dom'], types: [] })
  t.strictSame(await compile(page, compilers[7], ['plain']), [])
})

t.test('a mistake in a file of the app is reported, with its project', async t => {
  const app = join(folder, 'mistaken')
  install(app, packed, ['fastify', '@types/node'])
  project(app, 'plain', ['known.ts', 'plain-server.ts'], { module: 'nodenext', types: ['node'] })
  appendFileSync(join(app, 'plain/plain-server.ts'), 'export const code: 5 = new errors.BROKER().code\n')
  t.match(await compile(app, compilers[7], ['plain']), [/plain: plain\/plain-server\.ts\(\d+,14\): error TS2322: .*"RT_ERR_BROKER"/])
})

/** The files below a folder, as paths from it. */
function filesIn (folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter(file => statSync(join(folder, file)).isFile()).sort()
}

const files = filesIn(packed)
const textOf = (file: string) => readFileSync(join(packed, file), 'utf8')

t.test('the package has its code, its sources, its docs and nothing else', async t => {
  t.strictSame(readdirSync(packed).sort(), ['CHANGELOG.md', 'LICENSE', 'README.md', 'dist', 'docs', 'lib', 'package.json'])
  t.strictSame(readdirSync(join(packed, 'dist')), ['lib'])
  const sources = filesIn(join(root, 'lib')).map(file => `lib/${file}`)
  t.ok(every(sources, file => file.endsWith('.ts')))
  t.strictSame(files.filter(file => file.startsWith('lib/')), sources, 'the sources')
  const built = sources.flatMap(file => ['.d.ts', '.d.ts.map', '.js', '.js.map'].map(ending => `dist/${file.slice(0, -3)}${ending}`)).sort()
  t.strictSame(files.filter(file => file.startsWith('dist/')), built, 'of each source what the compiler made of it, and nothing of a file that is gone')
  t.strictSame(files.filter(file => file.startsWith('docs/')), filesIn(join(root, 'docs')).map(file => `docs/${file}`), 'the docs')
})

t.test('every export is in the package, and its declarations', async t => {
  const targets = Object.values(exports).flatMap(target => typeof target === 'string' ? [target] : [target.types, target.default])
  t.ok(targets.length > 15)
  for (const target of targets) t.ok(files.includes(target.replace('./', '')), target)
})

t.test('source maps and declaration maps lead to sources in the package', async t => {
  const maps = files.filter(file => file.endsWith('.map'))
  t.ok(maps.some(file => file.endsWith('.d.ts.map')))
  for (const map of maps) {
    t.match(textOf(map.slice(0, -4)), new RegExp(`^//# sourceMappingURL=${basename(map).replaceAll('.', '\\.')}\\s*$`, 'm'), map)
    const { sources, sourceRoot = '' } = JSON.parse(textOf(map)) as { sources: string[], sourceRoot?: string }
    t.ok(every(sources, source => files.includes(join(dirname(map), sourceRoot, source))), `${map}: ${sources}`)
  }
  const { sources } = JSON.parse(textOf('dist/lib/client/index.d.ts.map')) as { sources: string[] }
  t.strictSame(sources, ['../../../lib/client/index.ts'], 'go-to-definition opens the source')
})

t.test('no file of the package has a path of this machine in it', async t => {
  for (const file of files) {
    const lines = textOf(file).split('\n').filter(line => line.includes(root) || line.includes(`${homedir()}/`) || line.includes('file:///'))
    t.strictSame(lines, [], file)
  }
})

t.test('the links of the README lead into the package, or to the repository', async t => {
  const textAt = (path: string) => [packed, root].map(folder => join(folder, path)).filter(path => existsSync(path))
    .map(path => statSync(path).isDirectory() ? '' : readFileSync(path, 'utf8'))[0]
  t.strictSame(linkFaults('README.md', textAt), [])
})

t.test('the address of the repository stands in package.json alone', async t => {
  const address = /github\.com\/[\w-]+/.exec(repository.url)![0]
  const { stdout } = await run(root, 'git', 'grep', '--untracked', '--files-with-matches', '--fixed-strings', address)
  t.strictSame(stdout.trim().split('\n'), ['package.json'])
})

t.test('no lockfile has the address of a registry', async t => {
  for (const file of ['package-lock.json', 'bench/package-lock.json']) {
    const { packages } = JSON.parse(readFileSync(join(root, file), 'utf8')) as { packages: Record<string, { resolved?: string }> }
    t.strictSame(found(Object.keys(packages), path => packages[path].resolved !== undefined), [], file)
  }
})

t.test('the API docs are of every entry point', async t => {
  const { entryPoints } = JSON.parse(readFileSync(join(root, '.ci/typedoc.json'), 'utf8')) as { entryPoints: string[] }
  const modules = Object.values(exports).flatMap(target => typeof target === 'string' ? [] : [target.types])
  t.strictSame(entryPoints.sort(), modules.map(types => types.replace('./dist/', '../').replace('.d.ts', '.ts')).sort())
})

/** The oldest versions that package.json allows, by the names under which it installs them. */
const oldest = { fastify: 'fastify-oldest', ioredis: 'ioredis-oldest' }

t.test('package.json allows no version that is older than the tested one', async t => {
  for (const [name, alias] of Object.entries(oldest)) {
    t.equal(devDependencies[alias], `npm:${name}@${peerDependencies[name].split(' ')[0].replace('^', '')}`)
  }
})

/**
 * A folder in which Node finds the package as it was packed. Its dependencies and these peers, from name to the name under which
 * package.json installs them, are links to what this repository has installed.
 */
function link (folder: string, peers: Record<string, string>): string {
  const modules = join(folder, 'node_modules')
  cpSync(packed, join(modules, 'fastify-realtime'), { recursive: true })
  for (const [name, installed] of [...Object.keys(dependencies).map(name => [name, name]), ...Object.entries(peers)]) {
    mkdirSync(dirname(join(modules, name)), { recursive: true })
    symlinkSync(join(root, 'node_modules', installed), join(modules, name))
  }
  return folder
}

/** Runs test/fixtures/smoke.mjs with the package and these peers. Returns what it prints. */
async function smoke (t: Test, peers: Record<string, string>, url = ''): Promise<string> {
  const app = link(t.testdir(), peers)
  cpSync(join(root, 'test/fixtures/smoke.mjs'), join(app, 'smoke.mjs'))
  const { stdout } = await run(app, 'env', `REDIS_URL=${url}`, process.execPath, 'smoke.mjs')
  return stdout
}

for (const fastify of [oldest.fastify, 'fastify']) {
  const { version } = manifestOf(join(root, 'node_modules', fastify))
  t.test(`the package runs with Fastify ${version}`, async t => {
    t.equal(await smoke(t, { fastify }), `Node ${process.versions.node}, Fastify ${version}: passed\n`)
  })
}

for (const ioredis of [oldest.ioredis, 'ioredis']) {
  const { version } = manifestOf(join(root, 'node_modules', ioredis))
  t.test(`the package runs with ioredis ${version}`, { skip: skipRedis }, async t => {
    const { url } = await RedisServer.start(t)
    t.match(await smoke(t, { fastify: 'fastify', ioredis }, url), /: passed\n$/)
  })
}

t.test('a server compiles with the types of the oldest peers', async t => {
  const app = join(folder, 'oldest')
  install(app, packed, ['@types/node'])
  for (const [name, alias] of Object.entries(oldest)) symlinkSync(join(root, 'node_modules', alias), join(app, 'node_modules', name))
  project(app, 'whole', ['known.ts', 'server.ts'], { module: 'nodenext', lib: ['es2022'], types: ['node'] })
  t.strictSame(await compile(app, compilers[7], ['whole']), [])
})

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import t from 'tap'
import ts from 'typescript'
import { root } from './root.js'
import { found } from './every.js'

function filesIn (folder: string, ending: string): string[] {
  const path = join(root, folder)
  if (!existsSync(path)) return []
  return readdirSync(path, { recursive: true, encoding: 'utf8' }).filter(file => file.endsWith(ending)).map(file => `${folder}/${file.replaceAll('\\', '/')}`).sort()
}

function textOf (file: string): string {
  return readFileSync(join(root, file), 'utf8')
}

/** What a file imports and exports from, types included: its own files as paths, packages by their names. */
function importsOf (file: string, text = textOf(file)): string[] {
  return ts.preProcessFile(text).importedFiles.map(({ fileName }) =>
    fileName.startsWith('.') ? normalize(join(dirname(file), fileName)).replaceAll('\\', '/').replace(/\.js(x?)$/, '.ts$1') : fileName)
}

/** `lib/server/x.ts` is of `server`, `lib/errors.ts` of `errors`. */
function partOf (file: string): string {
  return file.split('/')[1].replace(/\.tsx?$/, '')
}

/** Which parts of lib a part may import, beside itself. */
const mayImport: Record<string, string[]> = {
  protocol: [],
  errors: ['protocol'],
  options: ['errors'],
  time: [],
  logs: ['protocol'],
  brokers: ['protocol', 'logs', 'errors', 'time'],
  server: ['protocol', 'logs', 'brokers', 'errors', 'options', 'time'],
  presence: ['protocol', 'logs', 'brokers', 'errors', 'options', 'server', 'time'],
  notifications: ['protocol', 'server'],
  chat: ['protocol', 'logs', 'brokers', 'errors', 'options', 'server', 'time', 'presence'],
  channels: ['protocol', 'logs', 'brokers', 'errors', 'options', 'server', 'time', 'presence'],
  'plugin-options': ['brokers', 'errors', 'options', 'server', 'chat', 'channels'],
  realtime: ['protocol', 'brokers', 'errors', 'server', 'notifications', 'chat', 'channels'],
  plugin: ['plugin-options', 'realtime', 'errors', 'server', 'notifications', 'chat', 'channels', 'presence', 'time'],
  index: ['protocol', 'logs', 'brokers', 'errors', 'server', 'notifications', 'chat', 'channels', 'presence', 'plugin-options', 'realtime', 'plugin'],
  'redis-options': ['brokers', 'errors', 'options', 'channels'],
  redis: ['brokers', 'chat', 'redis-options'],
  publisher: ['protocol', 'brokers', 'errors', 'options', 'server', 'notifications', 'chat', 'channels', 'redis-options'],
  testing: ['protocol', 'logs', 'brokers', 'client', 'time'],
  client: ['protocol'],
  browser: ['client'],
  react: ['client'],
  // The server's side of an adapter writes to runs.
  adapters: ['protocol', 'client', 'chat', 'errors']
}

/** Which packages a part may import; a part that is not here may import any. */
const mayNeed: Record<string, RegExp> = {
  protocol: /^@sinclair\/typebox$/,
  errors: /^@fastify\/error$/,
  // Runs in browsers, and has no dependency.
  client: /^$/,
  browser: /^$/,
  react: /^react$/,
  adapters: /^(ai|@ag-ui\/core|@sinclair\/typebox)$/,
  // Works under any test runner; of Fastify it needs types.
  testing: /^(node:|fastify$|@fastify\/websocket$)/
}

const lib = [...filesIn('lib', '.ts'), ...filesIn('lib', '.tsx')]
const isOurs = (imported: string) => imported.startsWith('lib/')

t.test('the imports of a file are found, however they are written', async t => {
  const text = `
    import a, { type B } from './a.js'
    import type { C } from '../errors.js'
    export * from '../protocol/b.js'
    export type { D } from 'fastify'
    const e = await import('./e.js')
    declare module 'fastify-plugin' { interface Augmented {} }
    type F = import('./f.js').F
    import './g.js'
    // import './comment.js'
    const text = "import './text.js'"
  `
  t.strictSame(importsOf('lib/server/x.ts', text).sort(),
    ['fastify', 'fastify-plugin', 'lib/errors.ts', 'lib/protocol/b.ts', ...['a', 'e', 'f', 'g'].map(name => `lib/server/${name}.ts`)])
})

t.test('imports go one way', async t => {
  t.ok(lib.length > 20, `${lib.length} files`)
  for (const file of lib) {
    const part = partOf(file)
    const allowed = mayImport[part]
    if (allowed === undefined) {
      t.fail(`${file}: there is no rule for '${part}'`)
      continue
    }
    const wrong = importsOf(file).filter(isOurs).filter(imported => partOf(imported) !== part && !allowed.includes(partOf(imported)))
    t.strictSame(wrong, [], `${file} imports only ${[part, ...allowed]}`)
  }
})

t.test('packages are needed only where they may be', async t => {
  for (const file of lib) {
    const pattern = mayNeed[partOf(file)]
    if (pattern === undefined) continue
    const wrong = importsOf(file).filter(imported => !isOurs(imported) && !pattern.test(imported))
    t.strictSame(wrong, [], file)
  }
})

t.test('nothing outside of lib is imported, and nothing that is not there', async t => {
  for (const file of lib) {
    const own = importsOf(file).filter(imported => isOurs(imported) || imported.startsWith('.') || imported.startsWith('/'))
    t.strictSame(own.filter(imported => lib.includes(imported)), own, file)
  }
})

t.test('there are no cycles', async t => {
  const imports = new Map(lib.map(file => [file, importsOf(file).filter(isOurs)]))
  t.strictSame(cycleIn(imports), undefined)
  t.strictSame(cycleIn(new Map([['a', ['b', 'c']], ['b', []], ['c', ['d']], ['d', ['b', 'a']]])), ['a', 'c', 'd', 'a'], 'one would be found')
  t.strictSame(cycleIn(new Map([['a', ['a']]])), ['a', 'a'])
})

/** A chain of files that ends where it begins. */
function cycleIn (imports: Map<string, string[]>): string[] | undefined {
  const done = new Set<string>()
  const visit = (file: string, chain: string[]): string[] | undefined => {
    if (chain.includes(file)) return [...chain.slice(chain.indexOf(file)), file]
    if (done.has(file)) return undefined
    for (const imported of imports.get(file) ?? []) {
      const cycle = visit(imported, [...chain, file])
      if (cycle !== undefined) return cycle
    }
    done.add(file)
    return undefined
  }
  for (const file of imports.keys()) {
    const cycle = visit(file, [])
    if (cycle !== undefined) return cycle
  }
  return undefined
}

/** What the core must not know: the kinds of channels, by any of their names. */
const kindNames = /chat|notification|broadcast|['"`]user:/i

t.test('the server, the brokers and the logs name no kind of channel', async t => {
  const core = lib.filter(file => ['server', 'brokers', 'logs'].includes(partOf(file)))
  t.ok(core.length > 80, `${core.length} files`)
  for (const file of core) {
    const lines = textOf(file).split('\n')
    t.strictSame(found(lines, line => kindNames.test(line)), [], file)
  }
  t.ok(kindNames.test(textOf('lib/chat/address.ts')), 'one would be found')
})

/** How many files a folder has, how many imports lie between them, and how long the longest chain of these is. */
function figuresOf (folder: string): { files: number, edges: number, chain: number } {
  const files = lib.filter(file => dirname(file) === folder)
  const imports = new Map(files.map(file => [file, [...new Set(importsOf(file))].filter(imported => files.includes(imported))]))
  const chainFrom = (file: string): number => 1 + Math.max(0, ...imports.get(file)!.map(chainFrom))
  return {
    files: files.length,
    edges: [...imports.values()].reduce((sum, { length }) => sum + length, 0),
    chain: Math.max(...files.map(chainFrom))
  }
}

t.test('no folder is larger than one can look at: its files, and the longest chain of imports between them', async t => {
  const figures = [...new Set(lib.map(file => dirname(file)))].sort().map(folder => ({ folder, ...figuresOf(folder) }))
  for (const { folder, files, edges, chain } of figures) {
    t.comment(`${folder}: ${files} files, ${edges} imports between them, longest chain ${chain}`)
    const [mostFiles, longest] = /^lib\/(client|react)/.test(folder) ? [20, 6] : [17, 5]
    t.ok(files <= mostFiles && chain <= longest, folder)
  }
  t.comment(`all folders: ${figures.reduce((sum, { edges }) => sum + edges, 0)} imports within a folder`)
})

/** Classes of a file with more lines or fields than one can keep in mind. */
function largeClassesOf (file: string): string[] {
  const source = ts.createSourceFile(file, textOf(file), ts.ScriptTarget.ES2023, true)
  const lineAt = (position: number) => source.getLineAndCharacterOfPosition(position).line
  return source.statements.filter(ts.isClassDeclaration).flatMap(declaration => {
    const lines = lineAt(declaration.end) - lineAt(declaration.getStart()) + 1
    const isMethod = ({ initializer }: ts.PropertyDeclaration) => initializer !== undefined && ts.isArrowFunction(initializer)
    const fields = declaration.members.filter(ts.isPropertyDeclaration).filter(property => !isMethod(property))
    return lines > 250 || fields.length > 12 ? [`${declaration.name?.text}: ${lines} lines, ${fields.length} fields`] : []
  })
}

t.test('no two classes share a name', async t => {
  const classes = lib.flatMap(file =>
    [...textOf(file).matchAll(/^(?:export )?(?:abstract )?class (\w+)/gm)].map(([, name]) => ({ name, file })))
  t.ok(classes.length > 100, `${classes.length} classes`)
  for (const { name, file } of classes) t.strictSame(classes.filter(other => other.name === name).map(other => other.file), [file], name)
})

t.test('no class of the server, the brokers and the logs has more than 250 lines or a dozen fields', async t => {
  const files = lib.filter(file => ['server', 'brokers', 'logs'].includes(partOf(file)) || file.startsWith('lib/chat/log/'))
  for (const file of files) t.strictSame(largeClassesOf(file), [], file)
})

/** Whether anything is left of a file when its types are taken away. */
function hasBehaviour (text: string): boolean {
  const compilerOptions = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2023, verbatimModuleSyntax: true }
  const { outputText } = ts.transpileModule(text, { compilerOptions })
  const { statements } = ts.createSourceFile('x.js', outputText, ts.ScriptTarget.ES2023)
  return statements.some(statement => !ts.isExportDeclaration(statement) && !ts.isImportDeclaration(statement) && !isDirective(statement))
}

/** `'use client'` */
function isDirective (statement: ts.Statement): boolean {
  return ts.isExpressionStatement(statement) && ts.isStringLiteral(statement.expression)
}

t.test('a file with behaviour differs from a file of types alone', async t => {
  t.equal(hasBehaviour("import type { A } from './a.js'\nexport interface B extends A {}\nexport type C = A | B"), false)
  t.equal(hasBehaviour("export { a } from './a.js'\nexport * from './b.js'"), false)
  t.equal(hasBehaviour("'use client'\nexport { a } from './a.js'"), false)
  t.equal(hasBehaviour("'use client'\na()"), true)
  t.equal(hasBehaviour('export const a = 1'), true)
  t.equal(hasBehaviour('export class A {}'), true)
})

/** The name that a file and its test share: a component may be tested without JSX, and the other way round. */
const nameOf = (file: string) => file.replace(/^(lib|test)\//, '').replace(/(\.test)?\.tsx?$/, '')
const withoutFile = (tests: string[], files: string[]) => tests.filter(test => !files.some(file => nameOf(file) === nameOf(test)))
const withoutTest = (files: string[], tests: string[]) => files.filter(file => !tests.some(test => nameOf(file) === nameOf(test)))
/** The scripts of Redis work on the same keys, and are tested together, by `commands/index.test.ts`. */
const isCommand = (file: string) => file.startsWith('lib/brokers/redis/commands/')

t.test('a file and its test are found by their name, with JSX in either or none', async t => {
  const files = ['lib/react/a.ts', 'lib/react/b.tsx', 'lib/react/c.tsx', 'lib/react/d/index.ts']
  const tests = ['test/react/a.test.tsx', 'test/react/b.test.ts', 'test/react/c.test.tsx', 'test/react/d/index.test.ts']
  t.strictSame([withoutFile(tests, files), withoutTest(files, tests)], [[], []])
  t.strictSame(withoutFile(['test/react/a-browser.test.ts', 'test/server/a.test.ts'], files), ['test/react/a-browser.test.ts', 'test/server/a.test.ts'])
  t.strictSame(withoutTest(['lib/react/test.ts', 'lib/react/a/index.ts'], tests), ['lib/react/test.ts', 'lib/react/a/index.ts'])
})

t.test('every test has the name of the file it is for, and the other way round', async t => {
  const folders = ['protocol', 'options', 'time', 'logs', 'brokers', 'server', 'notifications', 'presence', 'chat', 'channels', 'client', 'testing', 'adapters', 'react']
  for (const folder of folders) {
    const tests = [...filesIn(`test/${folder}`, '.test.ts'), ...filesIn(`test/${folder}`, '.test.tsx')]
    const files = lib.filter(file => partOf(file) === folder)
    t.ok(tests.length > 0 && files.length > 0, `${folder} has ${files.length} files and ${tests.length} tests`)
    t.strictSame(withoutFile(tests, files), [], 'each test is for a file')
    const withBehaviour = files.filter(file => hasBehaviour(textOf(file)) && !isCommand(file))
    t.strictSame(withoutTest(withBehaviour, tests), [], 'each file that does something has a test')
  }
})

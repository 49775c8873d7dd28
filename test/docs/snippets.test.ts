// The snippets of all pages, seen by the compiler. Each page's own test runs them.
import { existsSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import t from 'tap'
import ts from 'typescript'
import { root } from '../root.js'
import { exported, Page, pages } from './page.js'

const withSnippets = pages.map(file => new Page(file)).filter(({ snippets }) => snippets.length > 0)

t.test('every page with snippets has a test that runs all of them', async t => {
  t.ok(withSnippets.length > 8)
  for (const { file } of withSnippets) {
    const test = join(root, `test/docs/${basename(file, '.md').toLowerCase()}.test.ts`)
    t.match(existsSync(test) ? readFileSync(test, 'utf8') : '', /page\.allRan\(t\)/, file)
  }
})

t.test('snippets type-check, those in JavaScript too', async t => {
  const files = new Map(withSnippets.flatMap(({ file, snippets }) => snippets.filter(({ language }) => language !== 'html').map(({ name, language, code }) =>
    // Without an import or export it would be a script, and share its variables with the others.
    [join(root, 'snippets', basename(file, '.md'), `${name}.${language}`), /^(import|export) /m.test(code) ? code : `${code}\nexport {}\n`])))
  // What the quick start's page imports from its server.
  files.set('/realtime.d.ts', `export * from '${join(root, 'lib/client/chat/index.js')}'\n`)
  // The file of the app that registers the plugin: with it the program knows `app.ws`.
  const app = '/app.ts'
  files.set(app, "import type {} from 'fastify-realtime'\n")
  const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile)
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root)
  Object.assign(options, {
    noEmit: true,
    allowJs: true,
    checkJs: true,
    noUnusedLocals: false,
    noUnusedParameters: false,
    jsx: ts.JsxEmit.ReactJSX,
    lib: ['lib.es2023.d.ts', 'lib.dom.d.ts', 'lib.dom.iterable.d.ts'],
    paths: {
      ...Object.fromEntries(Object.keys(exported).map(name => [name, [join(root, `lib/${exported[name]}.ts`)]])),
      // It is not installed: these are its types that the pages need.
      'react-native': [join(root, 'test/fixtures/react-native.d.ts')]
    }
  })
  const host = ts.createCompilerHost(options)
  const { readFile, fileExists, getSourceFile } = host
  // A snippet may import another one of its page, in a folder that does not exist.
  host.directoryExists = undefined
  host.readFile = file => files.get(file) ?? readFile(file)
  host.fileExists = file => files.has(file) || fileExists(file)
  const parsed = new Map<string, ts.SourceFile | undefined>()
  host.getSourceFile = (file, target, ...rest) => {
    const text = files.get(file)
    if (text !== undefined) return ts.createSourceFile(file, text, target)
    if (!parsed.has(file)) parsed.set(file, getSourceFile(file, target, ...rest))
    return parsed.get(file)
  }
  // A snippet that adds to the types of the package, or imports one that does, is a program of its own: no other may see these types.
  const isAugmenting = (file: string) => /declare module| from '\.\//.test(files.get(file)!)
  const [alone, together] = [true, false].map(isAlone =>
    [...files.keys()].filter(file => file.startsWith(root) && isAugmenting(file) === isAlone))
  for (const group of [together, ...alone.map(file => [file])]) {
    const program = ts.createProgram([app, ...group], options, host)
    for (const file of group) {
      const source = program.getSourceFile(file)!
      const found = [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)]
      t.same(found.map(({ start, messageText }) =>
        `line ${source.getLineAndCharacterOfPosition(start!).line + 1}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`), [], file.slice(root.length))
    }
  }
})

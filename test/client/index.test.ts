import { readFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import t from 'tap'
import ts from 'typescript'
import { every, found } from '../every.js'
import { root } from '../root.js'

/** Limits of files that are loaded with `import()` when they are needed, in KiB. */
const loadedLater = { 'client/waiting.ts': 0.3, 'client/channels/roster.ts': 0.4, 'client/sharing/tabs.ts': 2.6 }

for (const [entry, limits] of Object.entries<Record<string, number>>({
  client: { 'client/index.ts': 6.5, ...loadedLater },
  'client/chat': { 'client/chat/index.ts': 10.9, 'client/chat/history.ts': 0.67, ...loadedLater }
})) {
  t.test(`the bundle of ${entry} has no TypeBox, and its files are small: ${JSON.stringify(limits)} KiB`, async t => {
    const { outputFiles, metafile } = await build({
      entryPoints: [`${root}/lib/${entry}/index.ts`], bundle: true, splitting: true, outdir: root, minify: true, format: 'esm', platform: 'browser', write: false, metafile: true
    })
    const outputs = Object.values(metafile.outputs).map(({ entryPoint }, at) => {
      const name = entryPoint?.replace(/.*lib\//, '') ?? ''
      return { name, limit: limits[name], bytes: gzipSync(outputFiles[at].contents, { level: 9 }).length }
    })
    t.strictSame(outputs.map(({ name }) => name).sort(), Object.keys(limits).sort(), 'no file with what two of them share')
    for (const { name, limit, bytes } of outputs) t.ok(bytes <= limit * 1024, `${name}: ${bytes} bytes with gzip`)
    const inputs = Object.keys(metafile.inputs)
    t.ok(inputs.length > 5)
    t.ok(every(inputs, input => /lib\/(client|protocol)\//.test(input)), inputs.join(' '))
    const [loaded] = Object.entries(metafile.outputs).filter(([, { entryPoint }]) => entryPoint?.endsWith('sharing/tabs.ts'))
    t.ok(every(Object.keys(loaded[1].inputs), input => input.includes('/sharing/')), 'the code for tabs has nothing of the client')
  })
}

t.test('the built file for script tags has at most 14.25 KiB: the client with chats, a licence line and the address of its map', async t => {
  const size = gzipSync(readFileSync(`${root}/dist/lib/browser.js`), { level: 9 }).length
  t.ok(size <= 14.25 * 1024, `${size} bytes with gzip`)
})

t.test('the types of the client compile in a project for browsers without those of Node, and know the messages of the app', async t => {
  const file = `${root}/test/client/page.ts`
  const text = (title: string) => `
    import { createClient, RealtimeError, type Envelope } from '../../dist/lib/client/index.js'
    declare module '../../dist/lib/client/index.js' { interface Messages { order_shipped: { order_id: number } } }
    const client = createClient({ userId: 'ada', getToken: async () => localStorage.getItem('token') ?? undefined })
    client.on('order_shipped', (data, { timestamp }) => { document.title = \`\${data!.order_id.toFixed()} \${timestamp}\` })
    client.on('notification', data => { document.title = data!.${title} })
    client.on('*', (envelope: Envelope) => console.log(envelope.type))
    client.on('anything', data => { const unknown: unknown = data; console.log(unknown) })
    client.send('order_shipped', { order_id: 5 }).catch((error: RealtimeError) => console.log(error.code))
    for await (const { type } of client) console.log(type)
    export {}
  `
  const options: ts.CompilerOptions = {
    noEmit: true,
    strict: true,
    target: ts.ScriptTarget.ES2023,
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    lib: ['lib.es2023.d.ts', 'lib.dom.d.ts', 'lib.dom.iterable.d.ts'],
    types: [],
    skipLibCheck: true
  }
  const faultsOf = (source: string) => {
    const host = ts.createCompilerHost(options)
    const { getSourceFile, fileExists } = host
    host.fileExists = name => name === file || fileExists(name)
    host.getSourceFile = (name, target, ...rest) =>
      name === file ? ts.createSourceFile(name, source, target) : getSourceFile(name, target, ...rest)
    const program = ts.createProgram([file], options, host)
    const loaded = program.getSourceFiles().map(({ fileName }) => fileName)
    t.strictSame(found(loaded, name => name.includes('@types/node')), [], 'no types of Node are loaded')
    return ts.getPreEmitDiagnostics(program).map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, ' '))
  }
  t.strictSame(faultsOf(text('title')), [])
  t.match(faultsOf(text('titel')), [/not assignable to type 'string'/])
})

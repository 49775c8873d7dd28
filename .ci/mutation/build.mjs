// Compiles lib and its tests, and bundles the packages that they import most into one script, .compiled/packages.cjs. A test process then
// reads one file, with a code cache, instead of resolving, reading and compiling a thousand.
import { writeFileSync } from 'node:fs'
import { build } from 'esbuild'
import '../typescript/compile.mjs'

/** The packages of many files each. Others, such as React, are a few files. */
const names = [
  '@fastify/error', '@fastify/websocket', '@sinclair/typebox', '@sinclair/typebox/compiler', '@sinclair/typebox/value', 'fast-check', 'fastify',
  'fastify-plugin', 'ioredis', 'process-warning', 'tap', 'ws'
]

const { outputFiles: [{ text }], metafile: { inputs } } = await build({
  stdin: {
    contents: `module.exports = { ${names.map(name => `'${name}': () => require('${name}')`).join(', ')} }`,
    resolveDir: process.cwd(),
    sourcefile: 'packages'
  },
  bundle: true,
  platform: 'node',
  format: 'cjs',
  minifySyntax: true,
  minifyWhitespace: true,
  legalComments: 'none',
  metafile: true,
  write: false,
  logLevel: 'error'
})

// The default export of a CommonJS package is all of it.
const isModule = Object.fromEntries(inputs.packages.imports.map(({ original, path }) => [original, inputs[path].format === 'esm']))
writeFileSync('.compiled/packages.cjs', `(function (require, module, __filename, __dirname) {${text}\nmodule.isModule = ${JSON.stringify(isModule)}\n})`)

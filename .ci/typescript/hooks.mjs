// Module hooks that strip types with esbuild. Tap's own hooks do not see these modules, so `tap --changed` does not know which tests
// import them. The output is cached by content: hundreds of test processes import the same modules.
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync } from 'node:fs'
import { readFile, rename, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

const { version } = createRequire(import.meta.url)('esbuild/package.json')
const cache = new URL('../../node_modules/.cache/typescript/', import.meta.url)
mkdirSync(cache, { recursive: true })

const isOwn = url => url.startsWith('file:') && !url.includes('/node_modules/')

/** Resolves `x.js` to `x.ts` where that exists. */
export function resolve (specifier, context, next) {
  if (/^(\.|\/|file:).*\.js$/.test(specifier)) {
    const source = new URL(specifier.replace(/js$/, 'ts'), context.parentURL)
    if (isOwn(source.href) && existsSync(source)) return { url: source.href, format: 'module', shortCircuit: true }
  }
  return next(specifier, context)
}

export async function load (url, context, next) {
  if (!isOwn(url) || !url.endsWith('.ts')) return next(url, context)
  return { format: 'module', source: await transformed(fileURLToPath(url)), shortCircuit: true }
}

async function transformed (sourcefile) {
  const text = await readFile(sourcefile, 'utf8')
  const key = createHash('sha1').update(`${version} ${sourcefile} ${text}`).digest('hex')
  const cached = new URL(`${key}.js`, cache)
  return readFile(cached, 'utf8').catch(() => transform(sourcefile, text, cached))
}

async function transform (sourcefile, text, cached) {
  const esbuild = await import('esbuild')
  const { code } = await esbuild.transform(text, { sourcefile, loader: 'ts', target: 'node20', sourcemap: 'inline', sourcesContent: false })
  // Another process may read the file meanwhile.
  const unfinished = new URL(`${cached.href}.${process.pid}`)
  await writeFile(unfinished, code)
  await rename(unfinished, cached)
  return code
}

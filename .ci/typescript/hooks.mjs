// Module hooks that strip types with esbuild. Tap's own hooks do not see these modules, so `tap --changed` does not know which tests
// import them.
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { transform } from 'esbuild'

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
  const sourcefile = fileURLToPath(url)
  const { code } = await transform(await readFile(sourcefile, 'utf8'), { sourcefile, loader: 'ts', target: 'node20', sourcemap: 'inline', sourcesContent: false })
  return { format: 'module', source: code, shortCircuit: true }
}

// Module hooks that replace types with spaces: lines and columns stay the same, so that no source map is needed. Tap's own hooks do not see
// these modules, so `tap --changed` does not know which tests import them. The output is cached by content: hundreds of test processes
// import the same modules.
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync } from 'node:fs'
import { readFile, rename, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

const { version } = createRequire(import.meta.url)('ts-blank-space/package.json')
const cache = new URL('../../node_modules/.cache/typescript/', import.meta.url)
mkdirSync(cache, { recursive: true })

// In Node 20 each ES module passes through the thread of the hooks, and tap has more than a hundred: its CommonJS build starts in a third.
const tap = pathToFileURL(createRequire(import.meta.url).resolve('tap')).href
const isOwn = url => url.startsWith('file:') && !url.includes('/node_modules/')

/** Resolves `x.js` to `x.ts` where that exists, and tap to its CommonJS build. */
export function resolve (specifier, context, next) {
  if (specifier === 'tap') return { url: tap, format: 'commonjs', shortCircuit: true }
  if (/^(\.|\/|file:).*\.js$/.test(specifier)) {
    const source = new URL(specifier.replace(/js$/, 'ts'), context.parentURL)
    if (isOwn(source.href) && existsSync(source)) return { url: source.href, format: 'module', shortCircuit: true }
  }
  return next(specifier, context)
}

export async function load (url, context, next) {
  if (!isOwn(url) || !url.endsWith('.ts')) return next(url, context)
  return { format: 'module', source: await transformed(new URL(url)), shortCircuit: true }
}

export async function transformed (file) {
  const text = await readFile(file, 'utf8')
  const key = createHash('sha1').update(`${version} ${text}`).digest('hex')
  const cached = new URL(`${key}.js`, cache)
  return readFile(cached, 'utf8').catch(() => transform(file, text, cached))
}

async function transform (file, text, cached) {
  const { default: blankSpace } = await import('ts-blank-space')
  const code = blankSpace(text, ({ pos, end }) => {
    throw new SyntaxError(`${file.pathname}: only a compiler can remove the types of this: ${text.slice(pos, end)}`)
  })
  // Another process may read the file meanwhile.
  const unfinished = new URL(`${cached.href}.${process.pid}`)
  await writeFile(unfinished, code)
  await rename(unfinished, cached)
  return code
}

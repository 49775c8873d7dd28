import { build } from 'esbuild'
import { chromium, type Browser } from 'playwright-core'
import { existsSync } from 'node:fs'

const executablePath = '/usr/bin/chromium'

/** Why the tests that need a browser are skipped, or `false`. */
export const skipBrowser = existsSync(executablePath) ? false : `needs ${executablePath}`

/** The versions of React that the hooks are tested with, and what the names of its packages stand for. */
export const versions: Record<string, Record<string, string>> = {
  'React 19': {},
  'React 18': { react: 'react-18', 'react-dom': 'react-dom-18' }
}

/** A script of a page, in development mode, where StrictMode does what it does. */
export async function bundle (contents: string, alias: Record<string, string> = {}): Promise<string> {
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: import.meta.dirname, loader: 'js' },
    bundle: true,
    format: 'esm',
    alias,
    define: { 'process.env.NODE_ENV': '"development"' },
    write: false
  })
  return outputFiles[0].text
}

export async function launch (t: { teardown (action: () => unknown): void }): Promise<Browser> {
  const browser = await chromium.launch({ executablePath, args: ['--headless', '--no-sandbox', '--disable-gpu'] })
  t.teardown(() => browser.close())
  return browser
}

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { build, type BuildOptions } from 'esbuild'
import { chromium, type Browser, type LaunchOptions } from 'playwright-core'
import { root } from './root.js'

export const executablePath = '/usr/bin/chromium'

/** Reason to skip tests that need a browser, or `false`. */
export const skipBrowser = existsSync(executablePath) ? false as const : `needs ${executablePath}`

/** Base of the relative imports in a script, like the folder of a test. */
const resolveDir = join(root, 'test/browser')

/** The script of a page, by default in development mode, in which React's StrictMode is active. */
export async function bundle (contents: string, options: BuildOptions = {}): Promise<string> {
  const { outputFiles } = await build({
    stdin: { contents, resolveDir, loader: 'js' },
    bundle: true,
    format: 'esm',
    define: { 'process.env.NODE_ENV': '"development"' },
    ...options,
    write: false
  })
  return outputFiles[0].text
}

/** Headless Chromium, closed with the test. */
export async function launch (t: { teardown (action: () => unknown): void }, options: LaunchOptions = {}): Promise<Browser> {
  const browser = await chromium.launch({ executablePath, args: ['--headless', '--no-sandbox', '--disable-gpu'], ...options })
  t.teardown(() => browser.close())
  return browser
}

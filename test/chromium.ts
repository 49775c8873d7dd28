import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { build, type BuildOptions } from 'esbuild'
import { chromium, type Browser, type LaunchOptions } from 'playwright-core'

export const executablePath = '/usr/bin/chromium'

/** Why the tests that need a browser are skipped, or `false`. */
export const skipBrowser = existsSync(executablePath) ? false as const : `needs ${executablePath}`

/** What a script's relative imports begin at: like the folder of any test. */
const resolveDir = fileURLToPath(new URL('./browser', import.meta.url))

/** The script of a page, by default in development mode, where React's StrictMode does what it does. */
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

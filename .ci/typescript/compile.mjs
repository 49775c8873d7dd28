// Fills the cache of the hooks in one process: each test process would load the compiler otherwise, for its own file alone.
import { readdirSync } from 'node:fs'
import { transformed } from './hooks.mjs'

const root = new URL('../../', import.meta.url)
for (const folder of ['lib', 'test', 'examples']) {
  for (const file of readdirSync(new URL(folder, root), { recursive: true })) {
    if (file.endsWith('.ts') && !file.endsWith('.d.ts')) await transformed(new URL(`${folder}/${file}`, root))
  }
}

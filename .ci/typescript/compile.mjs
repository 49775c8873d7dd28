// Writes the tests and what they import into .compiled, as JavaScript. There they need no module hooks, which take more than half of the
// time in which a test file starts: each is a process.
import { cpSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { transformed } from './hooks.mjs'

const root = new URL('../../', import.meta.url)
const compiled = new URL('.compiled/', root)
rmSync(compiled, { recursive: true, force: true })
for (const folder of ['.ci', 'bench', 'examples', 'lib', 'test']) {
  for (const file of readdirSync(new URL(folder, root), { recursive: true })) {
    if (!/(?<!\.d)\.ts$|\.mjs$/.test(file) || file.includes('node_modules')) continue
    const source = new URL(`${folder}/${file}`, root)
    const target = new URL(`${folder}/${file.replace(/\.ts$/, '.js')}`, compiled)
    mkdirSync(new URL('.', target), { recursive: true })
    if (file.endsWith('.ts')) writeFileSync(target, await transformed(source))
    else cpSync(source, target)
  }
}

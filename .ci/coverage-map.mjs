// Every test counts towards the coverage of all of lib/, files that no test loads included.
import { readdirSync } from 'node:fs'

const lib = readdirSync(new URL('../lib', import.meta.url), { recursive: true }).filter(file => file.endsWith('.ts')).map(file => `lib/${file}`)
export default () => lib

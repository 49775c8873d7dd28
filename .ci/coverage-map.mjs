// Every test counts towards the coverage of all of lib/, files that no test loads included.
import { readdirSync } from 'node:fs'

const compiled = new URL('../.compiled/lib', import.meta.url)
const lib = readdirSync(compiled, { recursive: true }).filter(file => file.endsWith('.js')).map(file => `.compiled/lib/${file}`)
export default () => lib

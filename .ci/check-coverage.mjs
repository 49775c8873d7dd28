// Fails when less of lib/ is covered than "coverage" in package.json asks for, in percent.
import { readFileSync } from 'node:fs'

const read = path => JSON.parse(readFileSync(new URL(`../${path}`, import.meta.url), 'utf8'))
const { total } = read('.tap/report/coverage-summary.json')
for (const [what, threshold] of Object.entries(read('package.json').coverage)) {
  const { pct } = total[what]
  console.log(`coverage of ${what}: ${pct} %, at least ${threshold} % asked for`)
  if (!(pct >= threshold)) process.exitCode = 1
}

import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import { fixture } from '../process.js'

/** Bytes that each shape fills: under FULL=1 as much as the heap needs for its own bookkeeping not to count. */
const fill = process.env.FULL === '1' ? 32 * 1024 * 1024 : 8 * 1024 * 1024

t.test('what the memory broker counts is what it costs, for each shape of channels and publications', async t => {
  const build = fileURLToPath(new URL('../../dist/lib', import.meta.url))
  const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', fixture('memory-shapes.mjs'), build, String(fill)])
  const results: Array<[string, { counted: number, real: number }]> = Object.entries(JSON.parse(stdout))
  t.ok(results.length >= 19)
  for (const [name, { counted, real }] of results) {
    const ratio = real / counted
    t.ok(ratio > 1 / 1.3 && ratio < 1.3, `${name}: ${ratio.toFixed(2)} of what is counted`)
  }
})

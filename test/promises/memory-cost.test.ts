import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { fixture } from '../process.js'
import { root } from '../root.js'

/** Bytes that each shape fills. With FULL=1 enough to make the overhead of the heap itself negligible. */
const fill = process.env.FULL === '1' ? 32 * 1024 * 1024 : 8 * 1024 * 1024

t.test('the bytes that the memory broker counts are within a factor of 1.3 of its heap, for each shape of its content', async t => {
  const build = join(root, 'dist/lib')
  const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', fixture('memory-shapes.mjs'), build, String(fill)])
  const results: Array<[string, { counted: number, real: number }]> = Object.entries(JSON.parse(stdout))
  t.ok(results.length >= 19)
  for (const [name, { counted, real }] of results) {
    const ratio = real / counted
    t.ok(ratio > 1 / 1.3 && ratio < 1.3, `${name}: ${ratio.toFixed(2)} of the counted bytes`)
  }
})

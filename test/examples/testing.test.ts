import { once } from 'node:events'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import t from 'tap'
import { spawnChild } from '../children.js'
import { root } from '../root.js'

const example = join(root, 'dist/examples/testing.js')

t.test('the tests of the example pass under node:test', async t => {
  // Without the environment of tap: the example runs on plain Node.
  const child = spawnChild(process.execPath, ['--test', '--test-reporter=tap', example], { env: { PATH: process.env.PATH } }, 'TERM')
  const exited = once(child, 'exit')
  const output = await text(child.stdout!)
  t.strictSame(await exited, [0, null], output)
  t.match(output, /^# pass 4$/m)
  t.match(output, /^# fail 0$/m)
})

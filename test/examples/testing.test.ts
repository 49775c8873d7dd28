import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import t from 'tap'

const example = new URL('../../dist/examples/testing.js', import.meta.url).pathname

t.test('the example passes under node:test', async t => {
  // Without what tap hands to its children: the example runs on plain Node.
  const child = spawn(process.execPath, ['--test', '--test-reporter=tap', example], { env: { PATH: process.env.PATH } })
  const exited = once(child, 'exit')
  const output = await text(child.stdout)
  t.strictSame(await exited, [0, null], output)
  t.match(output, /^# pass 4$/m)
  t.match(output, /^# fail 0$/m)
})

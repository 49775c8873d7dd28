import { once } from 'node:events'
import t from 'tap'
import { forkChild } from './children.js'
import { skipBrowser } from './chromium.js'
import { skipNginx } from './nginx.js'
import { fixture } from './process.js'
import { isListening, skipRedis } from './redis-server.js'
import { eventually, within } from './waiting.js'

const skips: Record<string, string | false> = {
  'redis-server': skipRedis,
  'a redis-server that is stopped': skipRedis,
  nginx: skipNginx,
  Chromium: skipBrowser,
  'an app': false
}

/** Time for a process with the loaders of the tests to start its children on a busy machine, in ms. */
const startTime = 50_000

for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
  t.test(`processes that a test file has started end when the test file is ended by ${signal}`, async t => {
    const child = forkChild(fixture('children.js'), Object.keys(skips).filter(what => skips[what] === false))
    t.teardown(() => child.kill('SIGKILL'))
    const [started] = await within(once(child, 'message'), 'the processes to start', startTime) as [Array<[string, number]>]
    for (const [what, port] of started) t.equal(await isListening(port), true, `${what} listens`)
    child.kill(signal)
    await within(once(child, 'exit'), 'the end of the test file')
    const ports = new Map(started)
    for (const [what, skip] of Object.entries(skips)) {
      t.test(`${what} ends`, { skip }, async t => {
        await eventually(async () => !await isListening(ports.get(what)!))
        t.equal(await isListening(ports.get(what)!), false)
      })
    }
  })
}

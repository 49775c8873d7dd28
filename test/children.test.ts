import { once } from 'node:events'
import { existsSync } from 'node:fs'
import t from 'tap'
import { forkChild } from './children.js'
import { skipNginx } from './nginx.js'
import { fixture } from './process.js'
import { isListening, skipRedis, until } from './redis-server.js'
import { within } from './within.js'

const skips: Record<string, string | false> = {
  'redis-server': skipRedis,
  'a redis-server that is stopped': skipRedis,
  nginx: skipNginx,
  Chromium: existsSync('/usr/bin/chromium') ? false : 'needs /usr/bin/chromium',
  'an app': false
}

for (const [what, skip] of Object.entries(skips)) {
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    t.test(`${what} ends with the test file that started it, when that is ended by ${signal}`, { skip }, async t => {
      const child = forkChild(fixture('children.ts'), [what])
      t.teardown(() => child.kill('SIGKILL'))
      const [port] = await within(once(child, 'message') as Promise<[number]>, `${what} to be started`)
      t.equal(await isListening(port), true)
      child.kill(signal)
      await within(once(child, 'exit'), 'the end of the test file')
      await until(async () => !await isListening(port))
      t.equal(await isListening(port), false)
    })
  }
}

import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import t, { type Test } from 'tap'
import { spawnChild } from '../children.js'
import { RedisServer, freePort, skipRedis } from '../redis-server.js'
import { within } from '../waiting.js'
import { launch, skipBrowser } from '../chromium.js'
import { root } from '../root.js'
import { args, watch } from './browser.js'

const program = join(root, 'dist/examples/cluster.js')

/** Starts the demo on two nodes, and ends it with the test. */
async function run (t: Test, env: NodeJS.ProcessEnv = {}) {
  const port = await freePort()
  const child = spawnChild(process.execPath, [program], { env: { PATH: process.env.PATH, PORT: String(port), ...env }, stdio: ['ignore', 'pipe', 'pipe'] }, 'TERM')
  t.teardown(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGTERM')
    await once(child, 'exit')
  })
  const pids = new Map<string, number>()
  const back: string[] = []
  const lines = createInterface(child.stdout!)
  const listening = new Promise<string>((resolve, reject) => {
    child.on('exit', code => reject(new Error(`ended with ${code}`)))
    lines.on('line', line => {
      const [, name, pid] = /^Node (\w) has the pid (\d+)/.exec(line) ?? []
      if (name !== undefined && pids.has(name)) back.push(name)
      if (name !== undefined) pids.set(name, Number(pid))
      const [, url] = /^Open (\S+)$/.exec(line) ?? []
      if (url !== undefined) resolve(url)
    })
  })
  return { child, url: await within(listening, 'the demo to listen'), pids, back, lines }
}

t.test('a page whose node is killed reconnects to the other node, and gets every message once', { skip: skipBrowser || skipRedis }, async t => {
  const { url, pids, back, lines } = await run(t)
  const browser = await launch(t, { args })
  const page = await browser.newPage()
  const connections = watch(page)
  await page.goto(`${url}/?user=user_123`)
  const status = page.locator('.status[data-state=open]')
  const nodeOf = async () => /on node (\w)/.exec(await status.textContent() ?? '')?.[1]
  await page.getByText(/Live on node/).waitFor()
  const first = await nodeOf()
  const post = (title: string) => fetch(`${url}/api/users/user_123/messages`, {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ type: 'notification', data: { title } })
  })
  // Two messages, so that each node has published one.
  for (const title of ['one', 'two']) t.equal((await post(title)).status, 202)
  process.kill(pids.get(first!)!, 'SIGKILL')
  t.equal((await post('meanwhile')).status, 202)
  const other = first === 'A' ? 'B' : 'A'
  await page.getByText(`Live on node ${other}, caught up`).waitFor()
  await page.locator('.bell, button[aria-haspopup]').first().click()
  await page.locator('.inbox li').nth(2).waitFor()
  t.strictSame((await page.locator('.inbox li b').allTextContents()).toSorted(), ['meanwhile', 'one', 'two'])
  const sent = connections.flatMap(({ received }) => received.filter(({ type }) => type === 'notification'))
  t.strictSame(sent.map(({ data }: any) => data.title), ['one', 'two', 'meanwhile'], 'the page received each once, in order')

  await page.reload()
  await page.getByText(/Live on node/).waitFor()
  while (back.length === 0) await within(once(lines, 'line'), 'the killed node to be started again')
  t.strictSame(back, [first], 'the killed node is started again')
})

t.test('the demo uses REDIS_URL, ends its nodes when it ends, and fails without Redis', { skip: skipRedis }, async t => {
  const { url: REDIS_URL } = await RedisServer.start(t)
  const { child, pids } = await run(t, { REDIS_URL })
  t.equal(pids.size, 2)
  child.kill('SIGINT')
  t.strictSame(await once(child, 'exit'), [0, null])
  for (const pid of pids.values()) t.throws(() => process.kill(pid, 0), { code: 'ESRCH' }, 'its nodes have ended')
  await t.rejects(run(t, { PATH: '/nowhere' }), /ended with 1/)
})

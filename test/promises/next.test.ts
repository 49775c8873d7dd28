import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import realtime from '../../lib/index.js'
import { spawnChild } from '../children.js'
import { connect } from '../harness.js'
import { eventually } from '../waiting.js'
import { answering } from '../answering.js'
import { launch } from '../chromium.js'
import { freePort } from '../redis-server.js'
import { root } from '../root.js'

const app = join(root, 'test/fixtures/next-app')
const env = { ...process.env, NEXT_TELEMETRY_DISABLED: '1', NODE_ENV: 'production' as const }

/** The app with the package as it is published, installed from its own lockfile and built. */
function build (t: Test): string {
  const folder = t.testdir()
  cpSync(app, folder, { recursive: true })
  const run = (command: string, ...args: string[]) => {
    const { status, stdout, stderr } = spawnSync(command, args, { cwd: folder, env, encoding: 'utf8' })
    if (status !== 0) throw new Error(`${command} ${args.join(' ')} failed: ${stdout}${stderr}`)
    return stdout
  }
  run('npm', 'ci', '--no-audit', '--no-fund')
  const installed = join(folder, 'node_modules/fastify-realtime')
  cpSync(join(root, 'package.json'), join(installed, 'package.json'))
  cpSync(join(root, 'dist/lib'), join(installed, 'dist/lib'), { recursive: true })
  run('npm', 'run', 'build')
  return folder
}

async function startNext (t: Test, folder: string): Promise<string> {
  const port = await freePort()
  const args = ['node_modules/next/dist/bin/next', 'start', '-H', '127.0.0.1', '-p', String(port)]
  const next = spawnChild(process.execPath, args, { cwd: folder, env, stdio: 'ignore' })
  t.teardown(async () => {
    const exited = once(next, 'exit')
    next.kill('SIGKILL')
    await exited
  })
  const url = `http://127.0.0.1:${port}`
  await eventually(() => fetch(url).then(({ ok }) => ok, () => false), 60_000)
  return url
}

t.test('every package of the Next app has one version and a hash, and none has the address of a registry', async t => {
  const { dependencies } = JSON.parse(readFileSync(join(app, 'package.json'), 'utf8'))
  const { packages } = JSON.parse(readFileSync(join(app, 'package-lock.json'), 'utf8')) as { packages: Record<string, Record<string, unknown>> }
  t.strictSame(packages[''].dependencies, dependencies)
  for (const [name, version] of Object.entries(dependencies)) t.equal(packages[`node_modules/${name}`]?.version, version, name)
  const installed = Object.entries(packages).filter(([path]) => path !== '')
  for (const [path, { integrity, resolved }] of installed) t.same([typeof integrity, resolved], ['string', undefined], path)
})

// The installation takes minutes: `FULL=1` only.
if (process.env.FULL === '1') {
  t.test('a Next app with cache components builds, and shows the text that was written after 20 navigations during an answer', { timeout: 600_000 }, async t => {
    const url = await startNext(t, build(t))
    const server = Fastify()
    t.teardown(() => server.close())
    const { onMessage, written, end } = answering(10, n => server.ws.sendToUser('ada', { type: 'tick', data: n }))
    await server.register(realtime, { insecure: true, allowedOrigins: [url], history: { size: 10_000 }, chat: { onMessage } })
    const live = await server.listen({ port: 0, host: '127.0.0.1' })
    const browser = await launch(t)
    const page = await browser.newPage()
    page.on('pageerror', error => t.fail(error))
    await page.goto(`${url}/?live=${encodeURIComponent(`${live}/ws`)}`)
    await page.locator('#status', { hasText: 'ready' }).waitFor()

    const client = await connect(t, `${live.replace('http', 'ws')}/ws/support/shop/c1/ada`)
    client.socket.send(JSON.stringify({ type: 'chat_message', ref: 'r', data: { content: 'go' } }))
    await eventually(() => written.ticks.length > 5)
    for (let n = 0; n < 20; n++) {
      await page.getByRole('link', { name: 'Other' }).click()
      await page.locator('#other').waitFor({ state: 'visible' })
      await page.getByRole('link', { name: 'Chat' }).click()
      await page.locator('#text').waitFor({ state: 'visible' })
    }
    end()
    await page.locator('#status', { hasText: 'ready' }).waitFor()
    await page.waitForFunction(`document.getElementById('text').textContent.length >= ${written.text.length}`)
    await page.waitForFunction(`document.getElementById('ticks').textContent.split(',').length >= ${written.ticks.length}`)
    t.equal(await page.locator('#text').textContent(), written.text)
    t.equal(await page.locator('#ticks').textContent(), written.ticks.join())
    t.equal(Number(await page.locator('#mounts').textContent()), 21, 'the page keeps its state while it is hidden and shown')
  })
}

import type { AddressInfo } from 'node:net'
import { type BrowserContextOptions, type Locator } from 'playwright-core'
import t, { type Test } from 'tap'
import type { Agent } from '../../examples/agent.js'
import { scriptedAgent } from '../../examples/scripted-agent.js'
import { build, type DemoOptions } from '../../examples/server.js'
import { connect } from '../harness.js'
import { eventually, patience } from '../waiting.js'
import { launch, skipBrowser } from '../chromium.js'
import { args, otherHosts, phone, unnamed, watch } from './browser.js'

/** Returns an agent that makes as many steps as the test allows. */
function held () {
  let allowed = 0
  let wake = () => {}
  const isAllowed = () => allowed > 0
  const pause = async (_ms: number, signal: AbortSignal) => {
    while (!isAllowed() && !signal.aborted) {
      await new Promise<void>(resolve => {
        wake = resolve
        signal.addEventListener('abort', () => resolve(), { once: true })
      })
    }
    signal.throwIfAborted()
    allowed--
  }
  return {
    agent: scriptedAgent({ pause }),
    /** Allows a number of steps of its tool or of tokens. */
    allow (steps: number): void {
      allowed += steps
      wake()
    }
  }
}

/** Part of an Element of the browser. */
interface Scroller {
  scrollHeight: number
  scrollTop: number
  clientHeight: number
  scrollTo (x: number, y: number): void
}

/** Numbers of steps of the agent: the tokens of its thoughts, the pieces of the input of its tool, and its progress. */
const thinking = 18
const writing = 5
const working = 3
const steps = thinking + writing + working
const wide = { width: 1280, height: 900 }

const answersOf = (device: Locator) => device.locator('.message.theirs')
const textOf = (device: Locator) => answersOf(device).last().locator('.text').textContent()
const statusOf = (device: Locator) => answersOf(device).last().getAttribute('data-status')
const input = (device: Locator) => device.getByRole('textbox', { name: 'Message' })
const stop = (device: Locator) => device.getByRole('button', { name: 'Stop' })
const cable = (device: Locator) => device.getByRole('switch', { name: 'Connected to the network' })
const say = async (device: Locator, text: string) => {
  await input(device).fill(text)
  await input(device).press('Enter')
}
const choose = (device: Locator, name: string) => device.getByRole('group', { name: /How shall it come/ }).getByRole('button', { name }).click()
const tokens = (text: string) => text.match(/\S+\s*/g)?.length ?? 0

async function until (holds: () => Promise<boolean>, what: string): Promise<void> {
  const end = performance.now() + 20_000
  while (!await holds()) if (performance.now() > end) throw new Error(`not within 20 s: ${what}`)
}

const hasTokens = (device: Locator, n: number) =>
  until(async () => await answersOf(device).count() > 0 && tokens(await textOf(device) ?? '') === n, `${n} tokens`)

t.test('the chat page shows the same on all devices', { skip: skipBrowser }, async t => {
  const browser = await launch(t, { args })

  interface Visit extends BrowserContextOptions {
    path?: string
  }

  async function serve (t: Test, options: DemoOptions) {
    const app = await build({ ...options, realtime: { timeouts: { spread: 50 }, ...options.realtime } })
    t.teardown(() => app.close())
    await app.listen({ host: '127.0.0.1', port: 0 })
    const { port } = app.server.address() as AddressInfo
    return {
      url: `http://127.0.0.1:${port}`,
      /** Returns the messages of a chat's log, as a new client gets them. */
      log: async (chatId = 'demo') => {
        const { received, socket } = await connect(t, `ws://127.0.0.1:${port}/ws/support/shop/${chatId}/user_123?since=0`)
        await eventually(() => received.some(({ type }) => type === 'connection_ack'))
        const { replayed } = received[0].data as { replayed: number }
        await eventually(() => received.length > replayed)
        socket.terminate()
        return received.flatMap(({ type, data }) => type === 'chat_message' ? [data as { role: string, content: string, status: string }] : [])
      }
    }
  }

  async function visit (t: Test, url: string, { path = '/chat', ...options }: Visit = {}) {
    const context = await browser.newContext({ viewport: wide, ...options })
    t.teardown(() => context.close())
    const page = await context.newPage()
    page.setDefaultTimeout(patience)
    page.on('pageerror', error => t.fail(error))
    const connections = watch(page)
    await page.goto(url + path)
    const device = (name: number) => page.getByRole('region', { name: `Device ${name}`, exact: true })
    for (const each of await page.locator('.device').all()) await each.locator('.status[data-state=open][data-chat=ready]').waitFor()
    return { page, connections, one: device(1), two: device(2) }
  }

  async function open (t: Test, options: DemoOptions, how?: Visit) {
    const server = await serve(t, options)
    return { ...server, ...await visit(t, server.url, how) }
  }

  /** Sends a message and answers the question. No token of the answer is allowed yet. */
  async function ask (device: Locator, { allow }: ReturnType<typeof held>, text = 'Where is B-2077?'): Promise<void> {
    await say(device, text)
    allow(steps)
    await choose(device, 'I pick it up')
  }

  t.test('both devices show the same message, tool, question and answer, even when one is cut during the answer', async t => {
    const script = held()
    const { one, two, page, connections, log } = await open(t, { agent: script.agent })
    await page.getByText('A script answers here, not a model.').waitFor()
    await say(one, 'Where is B-2077? 👩‍👩‍👧‍👦')
    t.equal(await input(one).inputValue(), '')
    script.allow(5)
    for (const device of [one, two]) await device.locator('.thoughts[data-status=streaming] p', { hasText: /^This is about order B-2077\.\s*$/ }).waitFor()
    script.allow(thinking - 5 + 2)
    for (const device of [one, two]) {
      await device.locator('.thoughts[data-status=complete]', { hasText: 'Thoughts' }).waitFor()
      t.equal(await device.locator('.thoughts p').isVisible(), false, 'finished thoughts are folded')
      await device.locator('.tool[data-status=streaming] .input', { hasText: /^{"number":"B-2077","incl$/ }).waitFor()
    }
    script.allow(writing - 2 + 1)
    for (const device of [one, two]) {
      await device.locator('.message.own[data-status=complete]', { hasText: 'Where is B-2077? 👩‍👩‍👧‍👦' }).waitFor()
      const tool = device.locator('.tool[data-status=running]', { hasText: 'find_order' })
      t.equal(await tool.getByLabel('Asking the warehouse').getAttribute('value'), '35')
      await stop(device).waitFor()
    }
    script.allow(working - 1)
    for (const device of [one, two]) {
      await device.locator('.tool[data-status=complete] .output', { hasText: '"items":3' }).waitFor()
      await device.getByRole('button', { name: 'Standard, in three days' }).waitFor()
      await device.getByText('Live, waiting for your answer').waitFor()
    }

    await choose(two, 'Standard, in three days')
    for (const device of [one, two]) {
      await device.locator('.asked[data-status=answered]', { hasText: 'Standard, in three days' }).waitFor()
      t.equal(await device.locator('.question').count(), 0)
    }
    await input(two).and(page.locator(':focus')).waitFor()

    script.allow(20)
    for (const device of [one, two]) {
      await hasTokens(device, 20)
      t.equal(await statusOf(device), 'streaming')
      t.equal(await device.locator('.caret').count(), 1)
    }
    const before = await textOf(two)
    t.equal(await textOf(one), before)

    await cable(two).click()
    await two.getByText('Reconnecting').waitFor()
    script.allow(30)
    await hasTokens(one, 50)
    t.equal(await textOf(two), before, 'the cable is cut')
    await cable(two).click()
    await hasTokens(two, 50)
    // Earlier attempts were made while the cable was cut.
    const { path, received } = connections.findLast(({ since }) => since !== null)!
    t.equal(path, '/ws/notifications/user_123', 'the chat is on the connection of the notifications')
    t.match(received.filter(({ type }) => type === 'subscribed'), [{ channel: /^chat:/, data: { recovered: true } }])
    const missed = received.filter(({ type }) => type === 'chat_delta').map(({ data }) => data as { at: number, text: string })
    t.strictSame(missed, [{ ...missed[0], at: before!.length, text: (await textOf(one))!.slice(before!.length) }], 'one delta with the missed text')

    script.allow(15)
    await hasTokens(two, 65)
    await cable(two).click()
    await two.getByText('Reconnecting').waitFor()
    script.allow(Infinity)
    await one.locator('.message.theirs[data-status=complete]').waitFor()
    await cable(two).click()
    await two.locator('.message.theirs[data-status=complete]').waitFor()
    const shown = await textOf(one)
    t.match(shown, '“Where is B-2077? 👩‍👩‍👧‍👦”')
    t.ok(tokens(shown!) > 150)
    t.equal(await textOf(two), shown)
    t.match(await log(), [{ role: 'user' }, { role: 'assistant', status: 'complete', content: shown }])
    for (const device of [one, two]) {
      t.equal(await answersOf(device).count(), 1)
      t.equal(await device.locator('.caret').count(), 0)
      await stop(device).waitFor({ state: 'detached' })
    }
  })

  t.test('a device shows that someone types on another one, until the message is sent', async t => {
    const script = held()
    const { one, two } = await open(t, { agent: script.agent })
    await input(one).pressSequentially('Where is it')
    await two.getByText('Device 1').waitFor()
    t.equal(await one.locator('.typing').textContent(), '', 'not on the device itself')
    await input(one).press('Enter')
    await two.getByText('Device 1').waitFor({ state: 'detached' })
  })

  t.test('a tool waits for an approval, which any device gives or denies, also after a reload', async t => {
    const script = held()
    const { one, two, page } = await open(t, { agent: script.agent })
    script.allow(Infinity)
    await say(one, 'Where is B-2077?')
    await choose(one, 'Express, tomorrow')
    const asked = (device: Locator) => device.getByRole('group', { name: 'Run book_courier?' })
    await asked(two).getByText('"price":"9.90 EUR"').waitFor()
    await page.reload()
    await two.locator('.tool', { hasText: 'book_courier' }).getByText('Waits for your approval').waitFor()
    await asked(two).getByRole('button', { name: 'Approve' }).click()
    for (const device of [one, two]) {
      await device.locator('.asked', { hasText: 'Run book_courier? Approved' }).waitFor()
      await device.locator('.tool[data-status=complete] .output', { hasText: 'C-B-2077' }).waitFor()
      await device.locator('.data', { hasText: 'Courier' }).waitFor()
      t.equal(await device.getByRole('link', { name: 'Delivery times' }).getAttribute('href'), 'https://example.com/delivery')
      t.ok(await device.getByRole('img', { name: 'label-B-2077.svg' }).evaluate((image: { naturalWidth: number }) => image.naturalWidth > 0))
      t.equal(await asked(device).count(), 0)
    }

    await say(two, 'Where is C-3000? Then fail.')
    await choose(two, 'Express, tomorrow')
    await asked(one).getByRole('button', { name: 'Deny' }).click()
    for (const device of [one, two]) {
      await device.locator('.asked', { hasText: 'Run book_courier? Denied' }).waitFor()
      await device.locator('.tool[data-status=error]', { hasText: 'Denied' }).getByText('the user denied the call').waitFor()
      await device.locator('.message.theirs[data-status=error]', { hasText: 'You asked me to fail' }).getByText('Failed').waitFor()
      await device.getByText('The agent failed: the server could not finish this run').waitFor()
    }
  })

  t.test('stop ends the answer on both devices, with the text so far', async t => {
    const script = held()
    const { one, two, log } = await open(t, { agent: script.agent })
    await ask(one, script)
    script.allow(10)
    for (const device of [one, two]) await hasTokens(device, 10)
    await stop(two).click()
    for (const device of [one, two]) {
      await device.locator('.message.theirs[data-status=cancelled]', { hasText: 'Stopped' }).waitFor()
      await device.getByText('Live', { exact: true }).waitFor()
      t.equal(await stop(device).count(), 0)
      t.equal(tokens((await textOf(device))!), 10)
      t.equal(await textOf(device), await textOf(one))
    }
    t.match(await log(), [{ role: 'user' }, { status: 'cancelled', content: await textOf(one) }])

    await say(two, 'And now?')
    script.allow(steps)
    await one.getByRole('group', { name: /How shall it come/ }).waitFor()
    await stop(one).click()
    for (const device of [one, two]) {
      await device.locator('.asked[data-status=cancelled]', { hasText: 'Stopped' }).waitFor()
      t.equal(await device.locator('.question').count(), 0)
    }
  })

  t.test('a page that is reloaded during an answer continues it', async t => {
    const script = held()
    const { one, page, log } = await open(t, { agent: script.agent }, { path: '/chat?device=1' })
    t.equal(await page.locator('.device').count(), 1)
    await ask(one, script)
    script.allow(25)
    await hasTokens(one, 25)
    const before = await textOf(one)
    await page.reload()
    await hasTokens(one, 25)
    t.equal(await textOf(one), before)
    t.equal(await statusOf(one), 'streaming')
    await stop(one).waitFor()
    t.equal(await one.locator('.tool, .asked, .message').count(), 4, 'each earlier item is shown once')
    t.equal(await one.locator('.thoughts').count(), 1)
    script.allow(Infinity)
    await one.locator('.message.theirs[data-status=complete]').waitFor()
    t.match(await log(), [{ role: 'user' }, { status: 'complete', content: await textOf(one) }])
  })

  t.test('a message without a connection is shown as pending, and sent once after the reconnect', async t => {
    const script = held()
    const { one, two, log } = await open(t, { agent: script.agent })
    await cable(one).click()
    await one.getByText('Reconnecting').waitFor()
    await say(one, 'Hello?')
    await one.locator('.message.own[data-status=pending]', { hasText: 'Sending …' }).waitFor()
    t.equal(await two.locator('.message').count(), 0)
    await cable(one).click()
    for (const device of [one, two]) await device.locator('.message.own[data-status=complete]', { hasText: 'Hello?' }).waitFor()
    t.equal(await one.locator('.message').count(), 1)
    t.match(await log(), { length: 1, 0: { content: 'Hello?' } })
  })

  t.test('a refused message shows the reason, and can be sent again', async t => {
    const script = held()
    const { one, two } = await open(t, { agent: script.agent, realtime: { limits: { runs: 1 } } })
    for (const text of ['first', 'second']) {
      await say(one, text)
      await two.locator('.message.own', { hasText: text }).waitFor()
    }
    await say(one, 'third')
    const refused = one.locator('.message.own[data-status=error]', { hasText: 'third' })
    await refused.getByText(/Not sent: 1 runs of this chat are already waiting/).waitFor()
    t.equal(await two.locator('.message', { hasText: 'third' }).count(), 0)
    await stop(one).click()
    await one.getByText('Live', { exact: true }).waitFor()
    await refused.getByRole('button', { name: 'Try again' }).click()
    for (const device of [one, two]) await device.locator('.message.own[data-status=complete]', { hasText: 'third' }).waitFor()
    t.equal(await one.locator('.message', { hasText: 'third' }).count(), 1)
  })

  t.test('the page shows that the agent failed, without the reason', async t => {
    const agent: Agent = {
      name: 'tiny',
      isScripted: false,
      async answer (run) {
        run.reply({ agent: 'tiny' }).write('Half an')
        throw new Error('secret')
      }
    }
    const { page, one, two } = await open(t, { agent })
    await page.getByText('The model tiny answers here.').waitFor()
    await say(one, '<img src=x onerror="document.body.remove()">')
    for (const device of [one, two]) {
      await device.getByText('The agent failed: the server could not finish this run').waitFor()
      await device.locator('.message.theirs[data-status=error]', { hasText: 'Half an' }).getByText('Failed').waitFor()
    }
    t.notMatch(await page.content(), 'secret')
    t.equal(await page.locator('img').count(), 0, 'a message is shown as text')
  })

  t.test('scrolling to the top loads older messages in order, until there are none', async t => {
    const agent: Agent = { name: 'echo', isScripted: false, answer: (run, { content }) => run.stream(new Blob([`Re: ${content}`]).stream().pipeThrough(new TextDecoderStream())) }
    const { url } = await serve(t, { agent, realtime: { history: { size: 4 } } })
    const client = await connect(t, `${url.replace('http', 'ws')}/ws/support/shop/old/user_123`)
    const said: string[] = []
    for (let n = 0; n < 25; n++) {
      client.send({ type: 'chat_message', data: { message_id: `m${n}`, content: `message ${n}` } })
      await client.next('run_finished')
      said.push(`message ${n}`, `Re: message ${n}`)
    }
    const { one } = await visit(t, url, { path: '/chat?chat=old&device=1' })
    const log = one.getByRole('log')
    const shown = () => one.locator('.message .text').allTextContents()
    const older = one.getByRole('button', { name: 'Older messages' })
    await older.waitFor()
    t.strictSame(await shown(), said.slice(-20))
    const distance = () => log.evaluate((log: Scroller) => log.scrollHeight - log.scrollTop - log.clientHeight)
    t.ok(await distance() < 2, 'the end is in view')
    await log.evaluate((log: Scroller) => log.scrollTo(0, 0))
    await until(async () => (await shown()).length === 40, '40 messages')
    t.strictSame(await shown(), said.slice(-40))
    t.ok(await log.evaluate((log: Scroller) => log.scrollTop > 100), 'the view stays at the same message')
    // A click by Playwright would first scroll to the button, which loads older messages too.
    await older.dispatchEvent('click')
    await until(async () => (await shown()).length === 50, '50 messages')
    await log.evaluate((log: Scroller) => log.scrollTo(0, 0))
    await older.waitFor({ state: 'detached' })
    t.strictSame(await shown(), said)
    await say(one, 'the last')
    await one.locator('.message.theirs', { hasText: 'Re: the last' }).waitFor()
  })

  t.test('another chat is empty, and has the same devices', async t => {
    const script = held()
    const { page, one } = await open(t, { agent: script.agent }, { path: '/chat?device=1' })
    await say(one, 'Hello')
    await one.locator('.message.own[data-status=complete]').waitFor()
    await page.getByRole('button', { name: 'New chat' }).click()
    await page.waitForURL(/\?chat=\w{4,}&device=1$/)
    await one.getByText('Nothing yet.').waitFor()
    await page.getByRole('link', { name: 'Side by side' }).click()
    await page.getByRole('region', { name: 'Device 2' }).getByText('Nothing yet.').waitFor()
    await page.getByRole('link', { name: 'Notifications' }).click()
    await page.getByRole('region', { name: 'user_456', exact: true }).waitFor()
  })

  t.test('every control has a name and works with the keyboard, and the page is no wider than a phone', async t => {
    const script = held()
    const { page, one } = await open(t, { agent: script.agent }, { viewport: phone, colorScheme: 'dark' })
    await say(one, 'y'.repeat(300))
    script.allow(thinking + writing + 1)
    await one.locator('progress').waitFor()
    t.strictSame(await unnamed(page), [])
    script.allow(working - 1)
    await one.getByRole('button', { name: 'Express, tomorrow' }).waitFor()
    t.strictSame(await unnamed(page), [])
    await one.getByRole('button', { name: 'Express, tomorrow' }).focus()
    await page.keyboard.press('Enter')
    await one.getByRole('button', { name: 'Approve' }).focus()
    t.strictSame(await unnamed(page), [])
    await page.keyboard.press('Enter')
    await one.locator('.asked', { hasText: 'Approved' }).waitFor()
    script.allow(1)
    script.allow(40)
    await hasTokens(one, 40)
    t.equal(await one.getByRole('log').getAttribute('aria-busy'), 'true', 'a screen reader does not read each token')
    t.equal(await page.evaluate('document.documentElement.scrollWidth'), phone.width)
    t.equal(await page.evaluate('getComputedStyle(document.body).backgroundColor'), 'rgb(15, 18, 22)')
    await stop(one).focus()
    await page.keyboard.press('Enter')
    await one.locator('.message.theirs[data-status=cancelled]').waitFor()
    t.equal(await one.getByRole('log').getAttribute('aria-busy'), 'false')
    await input(one).and(page.locator(':focus')).waitFor()
    t.strictSame(await otherHosts(page), [], 'no resource of another host is loaded')
  })
})

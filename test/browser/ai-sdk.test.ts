import type { Socket } from 'node:net'
import { Type } from '@sinclair/typebox'
import { isStepCount, jsonSchema, streamText, tool } from 'ai'
import { MockLanguageModelV4 } from 'ai/test'
import Fastify from 'fastify'
import type { Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { streamUI } from '../../lib/adapters/ai-sdk-server.js'
import realtime, { type Run, type UserMessage } from '../../lib/index.js'
import { bundle, launch, skipBrowser } from '../chromium.js'
import { eventually, gate } from '../waiting.js'

/** Example of a page of an app. */
const script = `
  import { createElement as h, StrictMode, useState } from 'react'
  import { createRoot } from 'react-dom/client'
  import { useChat } from '@ai-sdk/react'
  import { isToolUIPart, lastAssistantMessageIsCompleteWithApprovalResponses } from 'ai'
  import { RealtimeChatTransport } from '../../lib/adapters/ai-sdk.ts'

  const transport = new RealtimeChatTransport({ workflow: 'support', appId: 'shop', userId: 'ada', backoff: () => 10 })

  function Part ({ part, onApproval }) {
    if (part.type === 'text') return h('p', { className: part.state }, part.text)
    if (part.type === 'reasoning') return h('blockquote', { className: part.state }, part.text)
    if (part.type === 'source-url') return h('a', { href: part.url }, part.title)
    if (part.state === 'approval-requested') {
      const answer = approved => () => onApproval({ id: part.approval.id, approved })
      return h('fieldset', null, part.type, h('button', { onClick: answer(true) }, 'Approve'), h('button', { onClick: answer(false) }, 'Deny'))
    }
    if (part.type === 'tool-search') return h('code', { className: part.state }, JSON.stringify([part.input, part.output, part.preliminary]))
    if (part.type === 'data-input_request') {
      const { request_id: id, prompt, closed } = part.data
      return closed ? h('em', null, prompt + ' ' + closed.value) : h('button', { onClick: () => transport.respond('c1', id, true) }, prompt)
    }
    if (isToolUIPart(part)) return h('code', { className: part.state }, part.type + JSON.stringify([part.input, part.output]))
    return null
  }

  function Chat () {
    const { messages, status, error, sendMessage, regenerate, stop, addToolApprovalResponse } = useChat({
      id: 'c1', transport, resume: true, sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithApprovalResponses
    })
    const [text, setText] = useState('')
    return h('main', null,
      h('output', { id: 'status' }, status),
      h('output', { id: 'error' }, error?.message ?? ''),
      messages.map(({ id, role, parts }) => h('article', { key: id, className: role }, parts.map((part, at) => h(Part, { key: at, part, onApproval: addToolApprovalResponse })))),
      h('input', { value: text, onChange: event => setText(event.target.value) }),
      h('button', { onClick: () => sendMessage({ text }) }, 'Send'),
      h('button', { onClick: () => regenerate() }, 'Again'),
      h('button', { onClick: () => stop() }, 'Stop'))
  }

  createRoot(document.getElementById('app')).render(h(StrictMode, null, h(Chat)))
`

t.test("the AI SDK's useChat shows chats in a browser", { skip: skipBrowser }, async t => {
  const code = await bundle(script)
  const browser = await launch(t)

  async function open (t: Test, onMessage: (run: Run, message: UserMessage) => unknown) {
    const app = Fastify()
    t.teardown(() => app.close())
    const messages: UserMessage[] = []
    const runs: Run[] = []
    await app.register(realtime, {
      chat: {
        onMessage: (run, message) => {
          runs.push(run)
          messages.push(message)
          return onMessage(run, message)
        }
      }
    })
    app.get('/', async (_request, reply) => reply.type('text/html').send('<div id="app"></div><script type="module" src="/page.js"></script>'))
    app.get('/page.js', async (_request, reply) => reply.type('text/javascript').send(code))
    const sockets = new Set<Socket>()
    app.server.on('connection', (socket: Socket) => {
      sockets.add(socket)
      socket.on('close', () => sockets.delete(socket))
    })
    const url = await app.listen({ port: 0, host: '127.0.0.1' })
    const context = await browser.newContext()
    t.teardown(() => context.close())
    const visit = async () => {
      const page = await context.newPage()
      page.setDefaultTimeout(20_000)
      page.on('pageerror', error => t.fail(error))
      await page.goto(url)
      await page.locator('#status').waitFor()
      return page
    }
    return { app, page: await visit(), visit, messages, runs, cut: () => { for (const socket of sockets) socket.destroy() } }
  }

  const is = (page: Page, status: string) => page.locator('#status', { hasText: new RegExp(`^${status}$`) }).waitFor()
  const shows = (page: Page, text: string) => page.locator('.assistant p', { hasText: new RegExp(`^${text}$`) }).waitFor()
  const send = async (page: Page, text: string) => {
    await page.locator('input').fill(text)
    await page.getByRole('button', { name: 'Send' }).click()
  }
  const answers = (page: Page) => page.locator('.assistant p').allTextContents()

  t.test('the replies, tools and questions of a run are shown in one message', async t => {
    const steps = [gate(), gate()]
    const { page, app } = await open(t, async (run, { content }) => {
      const reply = run.reply({ agent: 'planner' })
      reply.write(`You said ${content}`)
      await steps[0].opened
      reply.write(', I see')
      await reply.end()
      await run.tool('search', { q: content }, async ({ progress }) => {
        progress(0.5)
        await steps[1].opened
        return { found: 2 }
      })
      if (await run.ask({ prompt: 'Sure?', schema: Type.Boolean() })) run.reply().write('Here it is')
    })
    await send(page, 'milk')
    await page.locator('.user p', { hasText: 'milk' }).waitFor()
    await shows(page, 'You said milk')
    await is(page, 'streaming')
    steps[0].open()
    await shows(page, 'You said milk, I see')
    await page.locator('code.output-available', { hasText: '[{"q":"milk"},0.5,true]' }).waitFor()
    steps[1].open()
    await page.locator('code.output-available', { hasText: '[{"q":"milk"},{"found":2},null]' }).waitFor()
    await page.getByRole('button', { name: 'Sure?' }).click()
    await page.locator('em', { hasText: 'Sure? true' }).waitFor()
    await shows(page, 'Here it is')
    await is(page, 'ready')
    t.strictSame(await answers(page), ['You said milk, I see', 'Here it is'])
    t.equal(await page.locator('.assistant').count(), 1, 'one message')
    t.equal(await page.locator('p.streaming').count(), 0)
    t.equal(app.ws.stats().connections, 1)
  })

  t.test('an answer of a language model is shown with its thoughts, source and tools, and a tool runs when a button approves it', async t => {
    const steps = { thought: gate(), input: gate() }
    const paid: unknown[] = []
    const usage = { inputTokens: { total: 1 }, outputTokens: { total: 1 } }
    const call = (toolCallId: string, toolName: string, input: string) => [
      { type: 'tool-input-end', id: toolCallId },
      { type: 'tool-call', toolCallId, toolName, input },
      { type: 'finish', finishReason: { unified: 'tool-calls' }, usage }
    ]
    async function * first () {
      yield { type: 'stream-start', warnings: [] }
      yield { type: 'reasoning-start', id: 'r' }
      yield { type: 'reasoning-delta', id: 'r', delta: 'They want' }
      await steps.thought.opened
      yield { type: 'reasoning-delta', id: 'r', delta: ' milk' }
      yield { type: 'reasoning-end', id: 'r' }
      yield { type: 'source', sourceType: 'url', id: 's', url: 'https://example.com/milk', title: 'Milk' }
      yield { type: 'tool-input-start', id: 'find', toolName: 'find' }
      yield { type: 'tool-input-delta', id: 'find', delta: '{"what":"mi' }
      await steps.input.opened
      yield { type: 'tool-input-delta', id: 'find', delta: 'lk"}' }
      yield * call('find', 'find', '{"what":"milk"}')
    }
    const answers = [
      first,
      () => [{ type: 'tool-input-start', id: 'pay', toolName: 'pay' }, ...call('pay', 'pay', '{"sum":2}')],
      () => [
        { type: 'text-start', id: '1' }, { type: 'text-delta', id: '1', delta: 'Here it is' }, { type: 'text-end', id: '1' },
        { type: 'finish', finishReason: { unified: 'stop' }, usage }
      ]
    ]
    const model = new MockLanguageModelV4({
      doStream: async () => ({ stream: ReadableStream.from(answers.shift()!()) as ReadableStream<any> })
    })
    const inputSchema = jsonSchema<Record<string, unknown>>({ type: 'object' })
    const tools = {
      find: tool({ inputSchema, execute: () => ({ found: 2 }) }),
      pay: tool({ inputSchema, needsApproval: true, execute: input => ({ paid: paid.push(input) }) })
    }
    const { page, messages } = await open(t, (run, { content }) => streamUI(run, earlier => streamText({
      model, tools, messages: earlier, stopWhen: isStepCount(5), abortSignal: run.signal
    }), { messages: [{ id: 'm', role: 'user', parts: [{ type: 'text', text: content }] }] }))
    await page.setViewportSize({ width: 360, height: 640 })
    const whole = (text: string) => new RegExp(`^${text}$`)
    await send(page, 'milk')
    await page.locator('blockquote.streaming', { hasText: whole('They want') }).waitFor()
    steps.thought.open()
    await page.locator('blockquote.done', { hasText: whole('They want milk') }).waitFor()
    await page.locator('a[href="https://example.com/milk"]', { hasText: 'Milk' }).waitFor()
    await page.locator('code.input-streaming', { hasText: 'tool-find[{"what":"mi"},null]' }).waitFor()
    steps.input.open()
    await page.locator('code.output-available', { hasText: 'tool-find[{"what":"milk"},{"found":2}]' }).waitFor()
    await page.locator('fieldset', { hasText: 'tool-pay' }).waitFor()
    t.strictSame(paid, [])
    await page.getByRole('button', { name: 'Approve' }).click()
    await page.locator('code.output-available', { hasText: 'tool-pay[{"sum":2},{"paid":1}]' }).waitFor()
    await shows(page, 'Here it is')
    await is(page, 'ready')
    t.strictSame(paid, [{ sum: 2 }])
    t.equal(await page.locator('.assistant').count(), 1, 'one message')
    t.equal(await page.locator('.streaming, .input-streaming, fieldset').count(), 0, 'nothing is open')
    t.equal(await page.evaluate('document.documentElement.scrollWidth'), 360, 'the page is not wider than the phone')
    t.equal(messages.length, 1, 'the approval continues the run')
  })

  t.test('stop ends the run on the server, and the text so far stays', async t => {
    const { page, runs } = await open(t, async run => {
      run.reply().write('one two')
      await new Promise(() => {})
    })
    await send(page, 'count')
    await shows(page, 'one two')
    t.equal(runs[0].signal.aborted, false)
    await page.getByRole('button', { name: 'Stop' }).click()
    t.equal(await runs[0].finished, 'cancelled')
    await is(page, 'ready')
    t.strictSame(await answers(page), ['one two'])
  })

  t.test('an answer continues after the page is reloaded', async t => {
    const steps = [gate(), gate(), gate()]
    const { page, visit, runs, messages } = await open(t, async (run, { content }) => {
      if (content === 'wait') return await new Promise(() => {})
      const reply = run.reply()
      reply.write('one')
      await steps[0].opened
      await run.tool('search', {}, () => 'found')
      reply.write(' two')
      await steps[1].opened
      reply.write(' three')
      await steps[2].opened
      reply.write(' four')
    })
    await send(page, 'count')
    await shows(page, 'one')
    await page.reload()
    await shows(page, 'one')
    await is(page, 'streaming')
    t.equal(runs[0].signal.aborted, false)
    steps[0].open()
    await shows(page, 'one two')
    const second = await visit()
    await shows(second, 'one two')
    await page.reload()
    steps[1].open()
    for (const each of [page, second]) await shows(each, 'one two three')
    steps[2].open()
    for (const each of [page, second]) {
      await shows(each, 'one two three four')
      await is(each, 'ready')
      t.strictSame(await answers(each), ['one two three four'])
      t.equal(await each.locator('code').count(), 1)
    }
    t.equal(messages.length, 1)

    await page.reload()
    await is(page, 'ready')
    await send(page, 'wait')
    await eventually(() => runs.length === 2)
    await page.reload()
    await is(page, 'submitted')
    await page.getByRole('button', { name: 'Stop' }).click()
    t.equal(await runs[1].finished, 'cancelled', 'a resumed run can be stopped')
    await is(page, 'ready')
  })

  t.test('no text is lost or repeated when the connection is cut', async t => {
    const words = Array.from({ length: 12 }, (_, n) => `${n}🧵`)
    const steps = words.map(() => gate())
    const { page, cut } = await open(t, async run => {
      const reply = run.reply()
      for (const [at, word] of words.entries()) {
        await steps[at].opened
        reply.write(word)
      }
    })
    await send(page, 'count')
    for (const [at, step] of steps.entries()) {
      if (at % 2 === 1) cut()
      step.open()
      if (at % 3 === 0) await shows(page, words.slice(0, at + 1).join(''))
    }
    await is(page, 'ready')
    t.strictSame(await answers(page), [words.join('')])
  })

  t.test('a message can be answered again, and an error is shown', async t => {
    let times = 0
    const { page, messages } = await open(t, async run => {
      if (++times === 3) throw new Error('out of tokens')
      run.reply().write(`answer ${times}`)
    })
    await send(page, 'hi')
    await shows(page, 'answer 1')
    await is(page, 'ready')
    await page.getByRole('button', { name: 'Again' }).click()
    await shows(page, 'answer 2')
    await is(page, 'ready')
    t.strictSame(await answers(page), ['answer 2'])
    await page.getByRole('button', { name: 'Again' }).click()
    await is(page, 'error')
    t.match(await page.locator('#error').textContent(), /^handler_failed: /)
    t.match(messages.map(({ content, data: { trigger } }) => [content, trigger]), [['hi', 'submit-message'], ['hi', 'regenerate-message'], ['hi', 'regenerate-message']])
  })
})

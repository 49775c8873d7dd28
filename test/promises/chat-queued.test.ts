import type { UIMessageChunk } from 'ai'
import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import { RealtimeChatTransport } from '../../lib/adapters/ai-sdk.js'
import { createChat, type Chat, type WebSocketConstructor } from '../../lib/client/chat/index.js'
import type { RealtimeOptions } from '../../lib/index.js'
import { brokersOfNodes } from '../fake-nodes.js'
import { connect, start } from '../harness.js'
import { eventually, gate } from '../waiting.js'

const place = { workflow: 'support', appId: 'shop', userId: 'ada' }
const options = { WebSocket: WebSocket as unknown as WebSocketConstructor, backoff: () => 0, onError () {} }

/** One or two servers of one app. Devices connect to each in turn. */
async function serve (t: Test, nodes: number, chat: NonNullable<RealtimeOptions['chat']>) {
  const brokers = nodes === 1 ? [undefined] : brokersOfNodes(nodes)
  const servers = await Promise.all(brokers.map(broker => start(t, { broker, chat })))
  let count = 0
  const baseUrl = () => `${servers[count++ % nodes].url}/ws`
  return {
    async device (): Promise<Chat> {
      const chat = createChat({ ...options, ...place, chatId: 'c', baseUrl: baseUrl() })
      t.teardown(() => chat.end())
      await eventually(() => chat.connection === 'open')
      return chat
    },
    transport (): RealtimeChatTransport {
      const transport = new RealtimeChatTransport({ ...options, ...place, baseUrl: baseUrl() })
      t.teardown(() => transport.close())
      return transport
    }
  }
}

const statuses = (chat: Chat) => chat.messages.filter(({ role }) => role === 'user').map(({ text, status }) => `${text} ${status}`).join()
const untilStopped = (started: string[]) => (run: { signal: AbortSignal }, { content }: { content: string }) => {
  started.push(content)
  return new Promise(resolve => run.signal.addEventListener('abort', resolve))
}

const message = (id: string): any => ({ id, role: 'user', parts: [{ type: 'text', text: id }] })
const send = (transport: RealtimeChatTransport, id: string) =>
  transport.sendMessages({ trigger: 'submit-message', chatId: 'c', messageId: undefined, messages: [message(id)], abortSignal: undefined })

async function textOf (stream: ReadableStream<UIMessageChunk>): Promise<string> {
  let text = ''
  for await (const chunk of stream as unknown as AsyncIterable<UIMessageChunk>) if (chunk.type === 'text-delta') text += chunk.delta
  return text
}

for (const nodes of [1, 2]) {
  const where = nodes === 1 ? 'on one server' : 'on two servers'

  t.test(`stop from another device or after a reload cancels active and queued runs, and no queued run starts, ${where}`, async t => {
    const started: string[] = []
    const { device } = await serve(t, nodes, { onMessage: untilStopped(started) })
    const [phone, laptop] = [await device(), await device()]
    await phone.send('one')
    await eventually(() => laptop.status === 'streaming')
    await laptop.send('two')
    await phone.send('three')
    const all = [phone, laptop, await device(), await device()]
    await eventually(() => all.every(chat => statuses(chat) === 'one complete,two queued,three queued'))
    await all[2].stop()
    await eventually(() => all.every(chat => chat.status === 'ready' && statuses(chat) === 'one complete,two cancelled,three cancelled'))
    t.strictSame(started, ['one'])
    await all[3].send('four')
    await eventually(() => started.length === 2)
    await all[3].stop()
    await eventually(() => all.every(({ status }) => status === 'ready'))
  })

  t.test(`a queued message can be withdrawn from any device, and the messages before and after it run, ${where}`, async t => {
    const started: string[] = []
    const first = gate()
    const { device } = await serve(t, nodes, {
      onMessage (_run, { content }) {
        started.push(content)
        return content === 'one' ? first.opened : undefined
      }
    })
    const [phone, laptop] = [await device(), await device()]
    for (const text of ['one', 'two', 'three']) await phone.send(text)
    await eventually(() => statuses(laptop) === 'one complete,two queued,three queued')
    await laptop.withdraw(laptop.messages[1].id)
    await eventually(() => statuses(phone) === 'one complete,two cancelled,three queued')
    first.open()
    await eventually(() => phone.status === 'ready' && laptop.status === 'ready')
    t.strictSame(started, ['one', 'three'])
    t.equal(statuses(laptop), 'one complete,two cancelled,three complete')
  })

  t.test(`a device that connects while a message is being saved has status submitted and can stop the announced run, ${where}`, async t => {
    const started: string[] = []
    const { opened, open } = gate()
    const { device } = await serve(t, nodes, { save: ({ role }) => role === 'user' ? opened : undefined, onMessage: untilStopped(started) })
    const phone = await device()
    const sent = phone.send('one')
    const laptop = await device()
    await eventually(() => laptop.status === 'submitted')
    t.strictSame(laptop.items, [], 'the message is not published yet')
    await laptop.stop()
    open()
    await sent
    await eventually(() => [phone, laptop].every(chat => chat.status === 'ready' && statuses(chat) === 'one cancelled'))
    t.strictSame(started, [])
  })

  t.test(`a failed save ends the run that was announced for the message, ${where}`, async t => {
    const { opened, open } = gate()
    const { device } = await serve(t, nodes, { save: async () => { await opened; throw new Error('disk full') }, onMessage () {} })
    const phone = await device()
    const sent = phone.send('one')
    const laptop = await device()
    await eventually(() => laptop.status === 'submitted')
    open()
    await t.rejects(sent, { code: 'handler_failed' })
    await eventually(() => phone.status === 'ready' && laptop.status === 'ready')
    t.equal(statuses(phone), 'one error')
    t.match(laptop.error, { code: 'handler_failed' })
  })

  t.test(`the AI SDK resumes a run whose message is still being saved or queued, ${where}`, async t => {
    const [saved, first] = [gate(), gate()]
    const { transport, device } = await serve(t, nodes, {
      save: ({ role }) => role === 'user' ? saved.opened : undefined,
      async onMessage (run, { content }) {
        if (content === 'one') await first.opened
        await run.stream((async function * () { yield * ['You ', 'said: ', content] })())
      }
    })
    const answer = await send(transport(), 'one')
    const witness = await device()
    await eventually(() => witness.status === 'submitted')
    const reloaded = await transport().reconnectToStream({ chatId: 'c' })
    t.not(reloaded, null)
    saved.open()
    const waiting = await send(transport(), 'two')
    await eventually(() => statuses(witness) === 'one complete,two queued')
    const later = await transport().reconnectToStream({ chatId: 'c' })
    first.open()
    t.strictSame(await Promise.all([answer, reloaded!, waiting].map(textOf)), ['You said: one', 'You said: one', 'You said: two'])
    t.equal(await textOf(later!), 'You said: two')
  })
}

t.test('a save that resolves at once announces no queued run', async t => {
  const { url } = await start(t, { chat: { save: async () => {}, onMessage () {} } })
  const client = await connect(t, `${url}/ws/support/shop/c/ada`)
  client.socket.send(JSON.stringify({ type: 'chat_message', ref: 'r', data: { content: 'one' } }))
  await client.next('run_finished')
  t.strictSame(client.received.flatMap(({ id, type }) => id === undefined ? [] : [type]), ['chat_message', 'run_started', 'run_finished'])
})

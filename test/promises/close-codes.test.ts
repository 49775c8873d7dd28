import type { Socket } from 'node:net'
import type { UIMessageChunk } from 'ai'
import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import { RealtimeChatTransport } from '../../lib/adapters/ai-sdk.js'
import { createChat } from '../../lib/client/chat/index.js'
import { createClient, type WebSocketConstructor } from '../../lib/client/index.js'
import { closeCodes } from '../../lib/index.js'
import { isSendable } from '../../lib/protocol/close-codes.js'
import { FakeLocks } from '../client/fake-locks.js'
import { start } from '../harness.js'
import { eventually, gate } from '../waiting.js'
import { closeRaw, WebSocketProxy } from '../websocket-proxy.js'

/** Codes after which a client stops. 4401 is final after a second refusal; the test of the client covers it. */
const final = [4400, 4403, 4409]

const table = Object.values(closeCodes).map(({ code }) => code as number)
const edges = [
  0, 1, 999, 1004, 1010, 1014, 1015, 1016, 1999, 2999, 3000,
  3999, 4000, 4399, 4402, 4404, 4407, 4410, 4428, 4431, 4999, 5000, 32_768, 65_535
]
const random = Array.from({ length: 20 }, () => Math.floor(Math.random() * 5_000)).filter(code => !final.includes(code))
const codes = [...new Set([...table, ...edges, ...random])].sort((a, b) => a - b)

const locks = new FakeLocks()
Object.defineProperty(globalThis, 'navigator', { configurable: true, value: { locks } })

/** A connected client under test, and its reaction to the close of its connection. */
interface Subject {
  ready: Promise<unknown>
  outcome: () => Promise<string>
  end: () => void
}

const options = { WebSocket: WebSocket as WebSocketConstructor, backoff: () => 0, onError: () => {} }

/** Resolves with `back` when the target opens a second time, or with its final close code. */
function outcomeOf (target: { status: string, closed: { code: number, name: string } | undefined }, opened: () => number): Promise<string> {
  return eventually(() => target.closed !== undefined || opened() > 1, 30_000).then(() => target.closed === undefined ? 'back' : `closed ${target.closed.code}`)
}

const subjects: Record<string, (url: string, userId: string, isGoing: Promise<void>) => Subject> = {
  client (url, userId) {
    const client = createClient({ ...options, baseUrl: `${url}/ws`, userId })
    let opened = 0
    client.onStatus(status => { if (status === 'open') opened++ })
    return { ready: client.connected(), outcome: () => outcomeOf(client, () => opened), end: () => client.close() }
  },

  chat (url, userId) {
    const chat = createChat({ ...options, baseUrl: `${url}/ws`, workflow: 'w', appId: 'chat', chatId: 'c', userId })
    let opened = 0
    let before = ''
    const look = () => {
      if (chat.connection === 'open' && before !== 'open') opened++
      before = chat.connection
    }
    const timer = setInterval(look, 1)
    return {
      ready: eventually(() => opened === 1, 30_000),
      outcome: () => outcomeOf(chat, () => opened),
      end () {
        clearInterval(timer)
        chat.end()
      }
    }
  },

  tabs (url, userId) {
    const tabs = [0, 1].map(() => createClient({ ...options, baseUrl: `${url}/ws`, userId: `${userId}-tabs`, share: true }))
    const opened = [0, 0]
    tabs.forEach((client, at) => client.onStatus(status => { if (status === 'open') opened[at]++ }))
    return {
      ready: Promise.all(tabs.map(client => client.connected())),
      async outcome () {
        const outcomes = await Promise.all(tabs.map((client, at) => outcomeOf(client, () => opened[at])))
        return [...new Set(outcomes)].join()
      },
      end: () => { for (const client of tabs) client.close() }
    }
  },

  // A stream continues after a reconnect, or ends with an error.
  'AI SDK transport' (url, userId, isGoing) {
    const transport = new RealtimeChatTransport({ ...options, baseUrl: `${url}/ws`, workflow: 'w', appId: 'ai', userId })
    const started = gate()
    const read = async () => {
      const stream = await transport.sendMessages({
        trigger: 'submit-message',
        chatId: 'c',
        messageId: undefined,
        messages: [{ id: 'm', role: 'user', parts: [{ type: 'text', text: 'go' }] }],
        abortSignal: undefined
      })
      const chunks: UIMessageChunk[] = []
      for await (const chunk of stream as unknown as AsyncIterable<UIMessageChunk>) {
        chunks.push(chunk)
        if (chunk.type === 'text-delta') started.open()
      }
      return chunks
    }
    const chunks = read()
    return {
      ready: started.opened,
      async outcome () {
        await isGoing
        const all = await chunks
        const last = all.at(-1)!
        const text = all.map(chunk => chunk.type === 'text-delta' ? chunk.delta : '').join('')
        if (last.type === 'error') return `closed ${/closed with (\d+)/.exec(last.errorText)?.[1]}`
        return last.type === 'finish' && text === 'ab' ? 'back' : `${last.type} ${text}`
      },
      end: () => transport.close()
    }
  }
}

/** Outcomes by subject and close code. */
async function outcomes (t: Test, by: 'proxy' | 'server'): Promise<Record<string, Record<number, string>>> {
  // A run continues when its connection has been closed.
  const going = new Map<string, ReturnType<typeof gate<void>>>()
  const goingOf = (userId: string) => going.get(userId) ?? going.set(userId, gate<void>()).get(userId)!
  const { app, port } = await start(t, {
    insecure: true,
    limits: { connectionsPerUser: 100 },
    chat: {
      async onMessage (run) {
        const reply = run.reply()
        reply.write('a')
        await goingOf(run.userId).opened
        reply.write('b')
        await reply.end()
      }
    }
  })
  const streams = new Map<Socket, string>()
  app.server.on('upgrade', ({ url }, stream) => {
    streams.set(stream as Socket, url!)
    stream.once('close', () => streams.delete(stream as Socket))
  })
  const proxy = await WebSocketProxy.start(t, port)

  const close = (code: number, userId: string) => {
    const reason = code === closeCodes.RESTART.code ? 'retry_ms=1' : ''
    if (by === 'proxy') return proxy.close(code, `/${userId}`, reason)
    if (isSendable(code)) {
      for (const connection of app.ws.connections()) if (connection.userId.startsWith(userId)) connection.close(code, reason)
      return
    }
    for (const [stream, path] of streams) if (path.includes(`/${userId}`)) closeRaw(stream, code)
  }

  const results: Record<string, Record<number, string>> = {}
  await Promise.all(codes.map(async code => {
    const userId = `u${code}.`
    const opened = Object.entries(subjects).map(([name, open]) => ({ name, ...open(proxy.url, userId, goingOf(userId).opened) }))
    await Promise.all(opened.map(({ ready }) => ready))
    close(code, userId)
    goingOf(userId).open()
    await Promise.all(opened.map(async ({ name, outcome, end }) => {
      const of = results[name] ??= {}
      of[code] = await outcome()
      end()
    }))
  }))
  return results
}

for (const by of ['proxy', 'server'] as const) {
  t.test(`after a close by the ${by} only 4400, 4403 and 4409 are final, for client, chat, tabs and AI SDK transport alike`, { timeout: 110_000 }, async t => {
    const results = await outcomes(t, by)
    const expected = Object.fromEntries(codes.map(code => [code, final.includes(code) ? `closed ${code}` : 'back']))
    t.strictSame(Object.keys(results).sort(), Object.keys(subjects).sort())
    for (const [name, of] of Object.entries(results)) t.strictSame(of, expected, name)
  })
}

t.test('the table of close codes marks the same codes as final', async t => {
  t.strictSame(Object.values(closeCodes).filter(({ action }) => action === 'stop').map(({ code }) => code), final)
})

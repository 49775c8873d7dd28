import { Type, type TSchema } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import t from 'tap'
import { WebSocket } from 'ws'
import { closeCodes, defineChannel, parsePosition, type Envelope, type RealtimeOptions } from '../../lib/index.js'
import { Subscribe, Subscribed, Unsubscribe, Unsubscribed, unsubscribedReasons } from '../../lib/protocol/channels.js'
import { Presence } from '../../lib/protocol/presence.js'
import { chatMessages } from '../../lib/protocol/chat.js'
import {
  commonMessages, ConnectionAck, controlTypes, ErrorData, InboundMessage, messageSchema, Renewal, Renewed, Resync, Timestamp
} from '../../lib/protocol/envelope.js'
import { refusalReasons } from '../../lib/server/reports/refusal-reasons.js'
import { every, found } from '../every.js'
import { connect, start } from '../harness.js'
import { eventually, gate, loopTurns } from '../waiting.js'
import { dataFieldsOf } from './frames.js'
import { Page } from './page.js'
import { clockStart } from '../clock.js'

type Scope = Parameters<Page['run']>[0]

const page = new Page('docs/protocol.md')
const code = (text: string) => `\`${text}\``

/** Types that clients may send without a handler of the app; `chat_message` and `chat_history` are sent by servers, too. */
const fromClients = ['ping', 'renew', 'subscribe', 'unsubscribe', 'presence', 'chat_message', 'chat_cancel', 'input_response', 'chat_history']
const fromServers = [...controlTypes, ...Object.keys(commonMessages)].filter(type => !['chat_cancel', 'input_response'].includes(type))

/** Schemas of `data` of all types. */
const schemas: Record<string, TSchema | undefined> = {
  connection_ack: ConnectionAck,
  pong: undefined,
  ack: Type.Unknown(),
  error: ErrorData,
  resync: Resync,
  renewed: Renewed,
  subscribed: Subscribed,
  unsubscribed: Unsubscribed,
  presence: Presence,
  subscribe: Subscribe,
  unsubscribe: Unsubscribe,
  ping: undefined,
  renew: Renewal,
  ...commonMessages
}

/** The text below the heading of a type. */
function sectionOf (type: string): string {
  const section = page.text.split(/^(?=##+ )/m).find(part => part.startsWith(`### \`${type}\`\n`))
  if (section === undefined) throw new Error(`docs/protocol.md has no section '${type}'`)
  return section
}

/** The frames in the examples of a text. */
function examplesIn (text: string): Envelope[] {
  return [...text.matchAll(/```json\n(.*?)\n```/gs)].map(([, frame]) => JSON.parse(frame))
}

const examples = examplesIn(page.text)
/** Frames of a server have a timestamp. */
const isOfServer = ({ timestamp }: Envelope) => timestamp !== undefined
const letterOf = ({ type, channel }: Envelope) =>
  channel?.startsWith('board:') === true ? 'k' : type in chatMessages ? 'c' : type === 'system_announcement' ? 'b' : 'u'

t.test('the list of frames has every type that a server sends or accepts, and who sends it', async t => {
  const types = [...new Set([...fromServers, ...fromClients])].sort()
  t.same(Object.keys(schemas).sort(), types)
  const fromOf = (type: string) => !fromServers.includes(type) ? 'client' : fromClients.includes(type) ? 'both' : 'server'
  const rows = page.table('## List of frames', '| Type | From | Meaning |')
  t.same(rows.map(([type, from]) => [type, from]).sort(), types.map(type => [`[${code(type)}](#${type})`, fromOf(type)]).sort())
})

t.test('every type has a section, with all fields of its data, and an example of each direction', async t => {
  for (const [type, schema] of Object.entries(schemas)) {
    const section = sectionOf(type)
    const { required, optional } = dataFieldsOf(schema)
    const fields = [...required, ...optional]
    t.strictSame(fields.filter(name => section.includes(code(name))), fields, type)
    const examples = examplesIn(section).filter(frame => frame.type === type)
    const directions = [fromServers, fromClients].filter(types => types.includes(type)).length
    t.equal(new Set(examples.map(isOfServer)).size, directions, `${type}: an example of each direction`)
  }
})

t.test('the examples match the schemas of the source', async t => {
  t.ok(examples.length > 25)
  for (const frame of examples.filter(frame => !isOfServer(frame))) t.ok(Value.Check(InboundMessage, frame), JSON.stringify(frame))
  for (const frame of examples.filter(isOfServer)) {
    const { id, ref, channel, ...message } = frame
    const { type, data } = message
    const text = JSON.stringify(frame)
    if (type === 'chat_history') continue
    t.ok(Value.Check(Timestamp, message.timestamp), text)
    const isControl = (controlTypes as readonly string[]).includes(type)
    const checked = isControl ? schemas[type] ?? Type.Undefined() : messageSchema(type, commonMessages[type as keyof typeof commonMessages])
    t.ok(Value.Check(checked, isControl ? data : message), text)
    t.equal(parsePosition(id ?? '')?.label, isControl ? undefined : letterOf(frame), text)
    t.equal(ref !== undefined, ['pong', 'ack', 'error'].includes(type), text)
    t.equal(channel !== undefined, ['subscribed', 'unsubscribed', 'presence'].includes(type) || (!isControl && ['c', 'k'].includes(letterOf(frame))), text)
  }
  const [, answer] = examples.filter(({ type }) => type === 'chat_history')
  const { messages } = answer.data as { messages: Array<{ timestamp: string }> }
  t.ok(every(messages, ({ timestamp, ...message }) => Value.Check(chatMessages.chat_message, message) && Value.Check(Timestamp, timestamp)))
})

/** A server that takes every frame of the page. */
const talkative: RealtimeOptions = {
  authenticate: () => ({ userId: 'ada', expiresAt: Date.now() + 3_600_000 }),
  renew: () => ({ userId: 'ada', expiresAt: Date.now() + 3_600_000 }),
  onMessage: { mark_read () {} },
  channels: {
    board: defineChannel({
      authorize: () => true,
      presence: true,
      answers: { move_card: Type.Object({ version: Type.Integer() }) },
      onMessage: { move_card: () => ({ version: 8 }) }
    })
  },
  limits: { strikes: 1_000, rate: 1_000, burst: 1_000 },
  chat: {
    async onMessage (run) {
      await run.tool('find_orders', { user: 'ada' }, ({ progress }) => {
        progress('searching')
        return loopTurns().then(() => [1])
      })
      await run.ask({ prompt: 'Ship 1 order?' })
      const reply = run.reply()
      for (const text of ['It ', 'is ', 'on its way.']) {
        reply.write(text)
        await loopTurns()
      }
    },
    loadHistory: () => []
  }
}

t.test('a server accepts the examples of clients, and each gets the answer that the page names', async t => {
  const { url } = await start(t, talkative)
  const client = await connect(t, `${url}/ws/support/shop/c1/ada`)
  const sent = examples.filter(frame => !isOfServer(frame))
  t.same([...new Set(sent.map(({ type }) => type))].sort(), [...fromClients, 'mark_read', 'move_card'].sort())
  t.equal(new Set(sent.map(({ ref }) => ref)).size, sent.length, 'each has a ref of its own')
  const answers: Record<string, string> = {}
  for (const frame of sent) {
    client.send(frame)
    const isAnswer = ({ type, ref }: Envelope) => ref === frame.ref && ['ack', 'error', 'pong'].includes(type)
    await client.until(() => client.received.some(isAnswer))
    const { type, data } = client.received.find(isAnswer)! as Envelope<'error'>
    answers[frame.type] = data?.code ?? type
  }
  // Nobody has asked the question of the example.
  t.same(answers, {
    ping: 'pong', mark_read: 'ack', renew: 'ack', subscribe: 'ack', move_card: 'ack', presence: 'ack', unsubscribe: 'ack', chat_message: 'ack', chat_cancel: 'ack', input_response: 'input_closed', chat_history: 'ack'
  })
  t.match(client.received.find(({ type }) => type === 'renewed'), { data: { expires_in_ms: Number } })
  t.match(client.received.find(({ type }) => type === 'chat_history'), { ref: 'c2d8', data: { messages: [], is_complete: true } })
})

t.test('a server accepts no other type of the list without a handler of the app', async t => {
  const { url } = await start(t, talkative)
  const client = await connect(t, `${url}/ws/support/shop/c1/ada`)
  const others = examples.filter(frame => isOfServer(frame) && !fromClients.includes(frame.type))
  t.same([...new Set(others.map(({ type }) => type))].sort(), fromServers.filter(type => !fromClients.includes(type)).sort())
  for (const [ref, { type, message, data }] of others.entries()) {
    client.send({ type, message, data, ref })
    t.match(await client.next('error'), { ref, data: { code: 'unknown_type' } }, type)
  }
})

t.test('every frame of a server is in the list, with its fields', async t => {
  const { url } = await start(t, talkative)
  const client = await connect(t, `${url}/ws/support/shop/c1/ada`)
  client.send({ type: 'chat_message', ref: 'm1', data: { content: 'Hi' } })
  client.send({ type: 'chat_message', ref: 'm2', data: { content: 'And?' } })
  const { data } = await client.next('input_request')
  client.send({ type: 'input_response', ref: 'a1', data: { request_id: data.request_id, value: true } })
  await client.next('run_finished')
  client.send({ type: 'chat_cancel', ref: 'x' })
  await client.next('run_finished')

  const types = new Set(client.received.map(({ type }) => type))
  const expected = ['run_queued', 'run_started', 'tool_call', 'tool_progress', 'tool_output', 'input_closed', 'chat_delta', 'chat_message']
  t.ok(every(expected, type => types.has(type)), [...types].join())
  for (const { type, data } of client.received) {
    t.ok(fromServers.includes(type), type)
    const section = sectionOf(type)
    const names = Object.keys(data ?? {})
    t.strictSame(names.filter(name => section.includes(code(name))), names, type)
  }
  const { limits } = client.ack.data!
  for (const name of Object.keys(limits!)) t.ok(sectionOf('connection_ack').includes(code(name)), name)
  t.ok(every(client.received, isOfServer))
})

t.test('the table of handshake responses has every refusal with an HTTP status', async t => {
  const rows = page.table('## Handshake responses', '| Status | Reason in the log | Cause | What to do |')
  const reasons = Object.entries(refusalReasons).filter(([, { code }]) => Number(code) < 1_000)
  t.same(rows.map(([status, reason]) => [status, reason]), reasons.map(([reason, row]) => [String(row.code), code(reason)]))
})

t.test('a refused identity is let in and closed before any frame', async t => {
  const { url } = await start(t, { authenticate: () => null })
  const socket = new WebSocket(`${url}/ws/notifications/ada`)
  t.teardown(() => socket.terminate())
  const events: string[] = []
  for (const event of ['open', 'message', 'close']) socket.on(event, () => { events.push(event) })
  await eventually(() => events.includes('close'))
  t.same(events, ['open', 'close'])
})

t.test('the diagram of the states and their table have the same transitions', async t => {
  const [, diagram] = /```mermaid\n(.*?)\n```/s.exec(page.text)!
  const drawn = [...diagram.matchAll(/^ *(\w+) --> (\w+): (.+)$/gm)].map(([, from, to, event]) => [from, event, to])
  t.ok(drawn.length > 10)
  const rows = page.table('## States of a client', '| State | Event | Next state | What the client does |')
  t.same(rows.map(([from, event, to]) => [from, event.replaceAll('`', ''), to]), drawn)
  t.ok(every(rows, ([, , , action]) => action.length > 3))
})

t.test('the table of actions has every close code', async t => {
  const rows = page.table('## Close codes', '| Action | Codes | What the client does |')
  const byAction: Record<string, string[]> = {}
  for (const { code: number, action } of Object.values(closeCodes)) (byAction[code(action)] ??= []).push(String(number))
  t.same(Object.fromEntries(rows.map(([action, codes]) => [action, codes.split(', ')])), byAction)
})

t.test('the table of reasons has every reason of unsubscribed, and the states of a channel have a row for all of them', async t => {
  const reasons = Object.keys(unsubscribedReasons)
  const rows = page.table('### `unsubscribed`', '| Reason | Meaning | What the client does |')
  const expected = Object.entries(unsubscribedReasons).map(([reason, meaning]) => [code(reason), meaning])
  t.same(rows.map(([reason, meaning]) => [reason, meaning]), expected)
  const states = ['Idle', 'Asked', 'Open', 'Leaving', 'Waiting', 'Closed']
  const cells = page.table('### States of a channel', `| Frame or event | ${states.join(' | ')} |`)
  const rowWith = (text: string) => cells.find(([event]) => event.includes(text))
  const rowOf = (reason: string) => rowWith(code(reason)) ?? rowWith('any other reason')!
  const next = (reason: string, state: string) => rowOf(reason)[1 + states.indexOf(state)].split(':')[0]
  for (const [reason, , action] of rows) {
    const isTemporary = /growing delay/.test(action)
    const isOver = /^It stops/.test(action)
    t.equal(next(reason.slice(1, -1), 'Open'), isTemporary ? 'Waiting' : isOver ? 'Closed' : '–', reason)
  }
  t.strictSame(found(cells, row => row.length !== 1 + states.length), [], 'each row has a cell for each state')
  const sections = ['connection_ack', 'subscribed', 'resync', 'unsubscribed']
  t.ok(every(sections, type => cells.some(([event]) => event.startsWith(code(type)))))
  t.equal(reasons.filter(reason => next(reason, 'Leaving').startsWith('Idle')).join(), 'asked')
})

t.test('the answers about channels are those of the page', async t => {
  const { app, url } = await start(t, talkative)
  const client = await connect(t, `${url}/ws/notifications/ada`)
  const of = (channel: string) => client.received.filter(frame => frame.channel === channel && frame.type !== 'presence')
  const send = (...channels: string[]) =>
    client.send({ type: 'subscribe', ref: channels.join(), data: { channels: channels.map(channel => ({ channel })) } })
  const names = ['board:b1', 'chat:support/shop/c1/ada', 'user:ada', 'broadcast', 'user:bob', 'nothing:n', 'board:a b', 'chat:support/shop/c1']
  send(...names)
  await client.next('ack')
  t.same(names.map(name => of(name).map(({ type, data }) => (data as { reason?: string }).reason ?? type)), [
    ['subscribed'], ['subscribed'], ['subscribed'], ['subscribed'], ['forbidden'], ['unknown_channel'], ['invalid_channel'], ['invalid_channel']
  ])
  for (const channel of ['board:b1', 'board:never']) client.send({ type: 'unsubscribe', ref: channel, data: { channels: [channel] } })
  await client.until(() => client.received.some(({ ref }) => ref === 'board:never'))
  t.same(['board:b1', 'board:never'].map(name => of(name).at(-1)!.data), [{ reason: 'asked' }, { reason: 'asked' }])
  await app.ws.channel('board', 'b1').send({ type: 'task_update', data: { task_id: 't1' } })
  send('board:b1')
  await client.until(() => of('board:b1').length === 3)
  await app.ws.channel('board', 'b1').send({ type: 'task_update', data: { task_id: 't2' } })
  t.match(await client.next('task_update'), { channel: 'board:b1', id: /^k\./, data: { task_id: 't2' } })
  client.send({ type: 'move_card', ref: 'm', channel: 'board:b1' })
  client.send({ type: 'move_card', ref: 'n', channel: 'board:b2' })
  await client.until(() => client.received.some(({ ref }) => ref === 'n'))
  await client.until(() => client.received.some(({ ref }) => ref === 'm'))
  t.match(client.received.find(({ ref }) => ref === 'm'), { type: 'ack', data: { version: 8 } })
  t.match(client.received.find(({ ref }) => ref === 'n'), { type: 'error', data: { code: 'not_subscribed' } })
})

t.test('the snippet that puts a chat together shows the same to a client that is early, late, or back again', async t => {
  const { opened, open } = gate()
  const { url } = await start(t, {
    chat: {
      async onMessage (run) {
        const reply = run.reply()
        for (const text of ['Hello ', '\u{1f600} ', 'world']) {
          reply.write(text)
          await loopTurns()
        }
        await opened
        reply.write('.')
        await reply.end()
      }
    }
  })
  /** A client that shows what it knows already and what it receives. */
  async function shown (query = '', known: Envelope[] = []) {
    const { apply, messages } = await page.run(t, 'chat-text')
    known.forEach(apply)
    const client = await connect(t, `${url}/ws/support/shop/c1/ada${query}`)
    client.socket.on('message', data => apply(JSON.parse(String(data))))
    // Messages that arrived together with the ack.
    client.received.forEach(apply)
    const isFinal = (length: number) => messages.size === length && [...messages.values()].every(message => message.isFinal)
    return { client, apply, messages, texts: () => [...messages.values()].map(message => message.text), isFinal }
  }
  const early = await shown()
  early.client.send({ type: 'chat_message', ref: 'm1', data: { content: 'Hi' } })
  await eventually(() => early.texts()[1] === 'Hello \u{1f600} world')
  const { received } = early.client
  const read = received.slice(0, 1 + received.findIndex(({ type }) => type === 'chat_delta'))
  const late = await shown()
  await eventually(() => late.messages.size === 2)
  t.same(late.texts(), early.texts())
  t.same([...late.messages.keys()], [...early.messages.keys()])

  const back = await shown(`?since=${read.at(-1)!.id}`, read)
  await eventually(() => back.texts()[1] === 'Hello \u{1f600} world')
  open()
  await eventually(() => early.isFinal(2) && late.isFinal(2) && back.isFinal(2))
  t.same(early.texts(), ['Hi', 'Hello \u{1f600} world.'])
  t.same(late.texts(), early.texts())
  t.same(back.texts(), early.texts())

  const before = early.texts()
  received.forEach(early.apply)
  t.same(early.texts(), before, 'the same frames again change nothing')
  const { apply, messages } = await page.run(t, 'chat-text')
  apply({ type: 'chat_delta', data: { message_id: '/a', at: 3, text: 'middle' } })
  t.equal(messages.size, 0, 'a delta in the middle of an unknown text is left out')
})

t.test('the client of at most 30 lines reads a channel across cuts, a broker that is away and a gap, and ends', async t => {
  t.ok(page.snippet('subscribe').code.split('\n').length <= 30)
  let isDown = true
  const authorize = () => {
    if (isDown) throw new Error('the database is away')
    return true
  }
  const { app, url } = await start(t, { channels: { board: defineChannel({ authorize, history: { size: 5 } }) } })
  const { subscribe } = await page.run(t, 'subscribe', { globals: { WebSocket, setTimeout: setImmediate } })
  const got: string[] = []
  const show = ({ type, data }: Envelope) => got.push(type === 'unsubscribed' ? (data as { reason: string }).reason : type)
  const end = subscribe(`${url}/ws/notifications/ada`, 'board:b1', show, () => got.push('reload'))
  t.teardown(end)
  await eventually(() => app.ws.isOnline('ada'))
  isDown = false
  await eventually(() => got.length === 1)
  const board = app.ws.channel('board', 'b1')
  const cut = () => { for (const connection of app.ws.connections('ada')) (connection as unknown as { terminate (): void }).terminate() }
  const expected = ['reload']
  for (let n = 0; n < 50; n += 2) {
    await board.send({ type: `m${n}` })
    cut()
    await board.send({ type: `m${n + 1}` })
    // Of another channel, and in between.
    await app.ws.sendToUser('ada', { type: 'other' })
    expected.push(`m${n}`, `m${n + 1}`)
    await eventually(() => got.length >= expected.length)
  }
  t.strictSame(got, expected)

  cut()
  for (let n = 0; n < 6; n++) await board.send({ type: 'missed' })
  await eventually(() => got.length > expected.length)
  t.strictSame(got.slice(expected.length), ['reload'], 'more was missed than the history has')
  await board.remove('ada')
  await eventually(() => got.at(-1) === 'removed')
  end()
  await eventually(() => !app.ws.isOnline('ada'))
})

t.test('the client that is written by hand loses nothing', async t => {
  /** The snippet's client at a server of this test. */
  async function resuming (t: Scope, options: RealtimeOptions = {}) {
    const { app, url } = await start(t, options)
    const log: string[] = []
    let urls = 0
    const { connect: open } = await page.run(t, 'resume', { globals: { WebSocket } })
    const end = open({
      getUrl: () => `${url}/ws/notifications/ada?attempt=${++urls}`,
      onMessage: ({ type }: { type: string }) => log.push(type),
      reload: () => log.push('reload'),
      onStop: (code: number) => log.push(`stop ${code}`)
    })
    t.teardown(end)
    return { app, log, end, attempts: () => urls }
  }

  t.test('missed messages come in order and once', async t => {
    const { app, log, end } = await resuming(t)
    await eventually(() => app.ws.isOnline('ada') && log.length === 1)
    await app.ws.sendToUser('ada', { type: '1' })
    await app.ws.broadcast({ type: '2' })
    await eventually(() => log.length === 3)
    for (const round of [3, 5]) {
      app.ws.disconnectUser('ada', closeCodes.TOO_SLOW.code)
      await app.ws.sendToUser('ada', { type: `${round}` })
      await app.ws.sendToUser('ada', { type: `${round + 1}` })
      await eventually(() => log.length === round + 2)
    }
    await app.ws.sendToUser('ada', { type: '7' })
    await eventually(() => log.includes('7'))
    t.same(log, ['reload', '1', '2', '3', '4', '5', '6', '7'])

    end()
    await eventually(() => !app.ws.isOnline('ada'))
  })

  t.test('it reloads when the history does not reach back', async t => {
    const { app, log } = await resuming(t, { history: { size: 2 } })
    await eventually(() => log.length === 1)
    app.ws.disconnectUser('ada', closeCodes.TOO_SLOW.code)
    for (const type of ['1', '2', '3']) await app.ws.sendToUser('ada', { type })
    await eventually(() => log.length === 2)
    await app.ws.sendToUser('ada', { type: '4' })
    await eventually(() => log.length === 3)
    t.same(log, ['reload', 'reload', '4'])
  })

  t.test('it stops after a final close code', async t => {
    const { app, log, attempts } = await resuming(t)
    await eventually(() => log.length === 1)
    app.ws.disconnectUser('ada')
    await eventually(() => log.length === 2)
    t.same(log, ['reload', 'stop 4403'])
    t.equal(attempts(), 1)
  })

  t.test('it gets a new credential once', async t => {
    let isKnown = true
    const { app, log, attempts } = await resuming(t, { authenticate: () => isKnown ? { userId: 'ada' } : null })
    await eventually(() => log.length === 1)
    app.ws.disconnectUser('ada', closeCodes.UNAUTHENTICATED.code)
    await eventually(() => attempts() === 2 && app.ws.isOnline('ada') === true)
    isKnown = false
    app.ws.disconnectUser('ada', closeCodes.UNAUTHENTICATED.code)
    await eventually(() => log.length === 2)
    t.same(log, ['reload', 'stop 4401'])
    t.equal(attempts(), 3)
  })

  t.test('it stops after the codes of the table', async t => {
    const { stopCodes } = await page.run(t, 'resume')
    t.same(stopCodes, Object.values(closeCodes).filter(({ action }) => action === 'stop').map(({ code }) => code))
  })

  /** The snippet's client with sockets, timers and a clock that do what the test says. */
  async function scripted (t: Scope) {
    const sockets: Scripted[] = []
    const clock = { now: clockStart }
    const delays: number[] = []
    const log: string[] = []
    const app = { url: 'ws://test/' as string | undefined, reload: async () => { log.push('reload') } }
    let check = () => {}

    class Scripted {
      readonly url: URL
      readyState = 0
      readonly sent: string[] = []
      onmessage!: (event: { data: string }) => void
      onclose!: (event: { code: number, reason: string }) => void
      constructor (url: URL) {
        this.url = url
        sockets.push(this)
      }

      get since () {
        return this.url.searchParams.get('since')
      }

      frames (...frames: object[]) {
        this.readyState = 1
        for (const frame of frames) this.onmessage({ data: JSON.stringify(frame) })
      }

      send (text: string) {
        this.sent.push(text)
      }

      close (code = 1005, reason = '') {
        this.onclose({ code, reason })
      }
    }
    const { connect: open } = await page.run(t, 'resume', {
      globals: {
        WebSocket: Scripted,
        Date: { now: () => clock.now },
        setInterval: (action: () => void) => { check = action },
        clearInterval () {},
        setTimeout: (action: () => void, ms: number) => {
          delays.push(ms)
          setImmediate(action)
        }
      }
    })
    t.teardown(open({
      getUrl: () => app.url,
      onMessage: ({ type }: { type: string }) => log.push(type),
      reload: () => app.reload()
    }))
    return {
      app,
      delays,
      log,
      /** Waits for a socket; the first one is 1. */
      async socket (number: number) {
        await eventually(() => sockets.length === number)
        return sockets[number - 1]
      },
      pass (ms: number) {
        clock.now += ms
        check()
      }
    }
  }
  const ack = (position: string, recovered?: boolean) => ({ type: 'connection_ack', data: { position, recovered, heartbeat_ms: 25_000 } })

  t.test('it follows the protocol frame by frame', async t => {
    const { app, delays, log, socket } = await scripted(t)
    const first = await socket(1)
    t.equal(first.since, null)
    let loaded = () => {}
    app.reload = () => new Promise<void>(resolve => {
      loaded = () => {
        log.push('loaded')
        resolve()
      }
    })
    first.frames(ack('u.a.0,b.a.0'), { type: 'during', id: 'u.a.1' })
    await loopTurns()
    t.same(log, [], 'messages wait until the state is loaded')
    loaded()
    await eventually(() => log.length === 2)
    t.same(log.splice(0), ['loaded', 'during'])

    app.reload = async () => { log.push('reload') }
    first.frames({ type: 'resync', data: { position: 'b.a.9' } }, { type: 'after', id: 'b.a.10' })
    await eventually(() => log.length === 2)
    t.same(log.splice(0), ['reload', 'after'])
    first.close(1012, 'retry_ms=1234')
    t.same(delays.splice(0), [1234])

    const second = await socket(2)
    t.equal(second.since, 'u.a.1,b.a.10')
    first.frames({ type: 'late', id: 'u.a.2' })
    second.frames(ack('u.a.1,b.a.10', true), { type: 'late', id: 'u.a.2' })
    await eventually(() => log.length === 1)
    t.same(log.splice(0), ['late'], 'frames of the old connection are not shown twice')

    app.reload = async () => { throw new Error('the API is down') }
    second.frames({ type: 'resync', data: { position: 'b.a.20' } }, { type: 'not shown', id: 'b.a.21' })
    const third = await socket(3)
    t.equal(third.since, null, 'after a failed reload it starts over')
    t.same(log, [])

    app.reload = async () => { log.push('reload') }
    third.frames(ack('u.a.3,b.a.21'))
    await eventually(() => log.length === 1)
    delays.length = 0
    third.close(4429)
    t.ok(delays[0] >= 5_000)
    const fourth = await socket(4)
    app.url = undefined
    fourth.close(1006)
    await eventually(() => delays.length > 12)
    t.ok(every(delays.slice(1), ms => ms >= 0 && ms <= 9_000), 'the delay is bounded')
    t.ok(delays.at(-1)! >= 4_500, 'and grows')
    app.url = 'ws://test/'
    t.equal((await socket(5)).since, 'u.a.3,b.a.21')
  })

  t.test('it leaves a connection that is silent, after a ping', async t => {
    const { log, delays, socket, pass } = await scripted(t)
    await socket(1)
    pass(10_000)
    pass(1)
    const second = await socket(2)
    second.frames(ack('u.a.5'))
    await eventually(() => log.length === 1)
    pass(37_499)
    t.same(second.sent, [])
    pass(1)
    pass(1_000)
    t.same(second.sent, ['{"type":"ping"}'], 'one ping after 1.5 heartbeats')
    second.frames({ type: 'pong' })
    pass(37_499)
    t.equal(second.sent.length, 1, 'an answer counts')
    pass(1)
    t.equal(second.sent.length, 2)
    pass(12_501)
    t.equal((await socket(3)).since, 'u.a.5', 'it resumes after two heartbeats')
    t.equal(delays.length, 2)
    t.same(log, ['reload'], 'a pong is no message')
  })

  t.test('it reconnects at once after 4430 only where no attempt has failed', async t => {
    const { delays, log, socket, pass } = await scripted(t)
    const first = await socket(1)
    first.frames(ack('u.a.1'))
    await eventually(() => log.length === 1)
    first.close(4430)
    t.same(delays, [0])
    const second = await socket(2)
    second.frames(ack('u.a.1', true))
    pass(4_999)
    second.close(4430)
    t.ok(delays[1] > 0 && delays[1] <= 1_000, `${delays[1]} ms`)
    const third = await socket(3)
    third.frames(ack('u.a.1', true))
    pass(5_000)
    third.close(4430)
    t.equal(delays[2], 0, 'a connection that held for 5 s is a success')
    await socket(4)
  })
})

t.test('every snippet of the page is run', async t => { page.allRan(t) })

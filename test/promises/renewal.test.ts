import type { FastifyRequest } from 'fastify'
import t from 'tap'
import { tokenOf, type Identity, type OnMessage, type RealtimeOptions, type Run, type Target } from '../../lib/index.js'
import { all, ask, finished, type Data } from '../chat.js'
import { connect, start } from '../harness.js'
import { logSink } from '../log-sink.js'
import { eventually, gate, loopTurns } from '../waiting.js'
import { found } from '../every.js'

type Role = Identity & { role: string }

/** A token is `<user> <role>`. */
const identityOf = (token: string): Role => {
  const [userId, role] = token.split(' ')
  return { userId, role }
}
const authenticate = (request: FastifyRequest) => identityOf(tokenOf(request)!)
const roleOf = (identity: Identity) => (identity as Role).role

const chatPath = '/ws/w/a/c/ada'

interface Scope {
  teardown (action: () => unknown): void
}

async function startWith (t: Scope, options: RealtimeOptions = {}, server = {}) {
  const started = await start(t, { authenticate, renew: identityOf, ...options }, server)
  const join = (token: string, path = chatPath) => connect(t, `${started.url}${path}?token=${encodeURIComponent(token)}`)
  return { ...started, join }
}

type Joined = Awaited<ReturnType<typeof connect>>

/** Resolves with `renewed`, or with the code of the error. */
async function renew (client: Joined, token: string): Promise<string> {
  const before = client.received.length
  const answer = () => client.received.slice(before).find(({ type }) => type === 'renewed' || type === 'error')
  client.send({ type: 'renew', data: { token } })
  await client.until(() => answer() !== undefined)
  return answer()!.type === 'renewed' ? 'renewed' : (answer()!.data as Data).code
}

const isNote = ({ data }: { data?: unknown }) => (data as Data)?.role === 'note'

t.test('visible gets the identity of the last renewal, for live messages and for loadHistory', async t => {
  const note = { message_id: '/n', role: 'note', content: 'private', timestamp: '2026-01-01T00:00:00.000Z' }
  const { app, join } = await startWith(t, {
    chat: { visible: (message, identity) => !isNote(message) || roleOf(identity) === 'staff', loadHistory: () => [note] }
  })
  const chat = app.ws.chat({ workflow: 'w', appId: 'a', chatId: 'c', userId: 'ada' })
  const client = await join('ada guest')
  const shown = async (content: string) => {
    await chat.send({ type: 'chat_message', data: { role: 'note', content } })
    await ask(client, 'chat_history')
    return [all(client, 'chat_message').some(data => data.content === content), all(client, 'chat_history').at(-1)!.messages.length]
  }
  t.strictSame(await shown('as a guest'), [false, 0])
  t.equal(await renew(client, 'ada staff'), 'renewed')
  t.strictSame(await shown('as staff'), [true, 1])
  t.equal(await renew(client, 'eve staff'), 'renew_refused')
  t.strictSame(await shown('still as staff'), [true, 1])
  t.equal(await renew(client, 'ada guest'), 'renewed')
  t.strictSame(await shown('as a guest again'), [false, 0])
})

t.test('a renewal that makes a streaming message visible delivers its whole text, and one that hides it stops its deltas', async t => {
  const { app, join } = await startWith(t, { chat: { visible: (message, identity) => !isNote(message) || roleOf(identity) === 'staff' } })
  const chat = app.ws.chat({ workflow: 'w', appId: 'a', chatId: 'c', userId: 'ada' })
  const client = await join('ada guest')
  const { opened, open } = gate<Run>()
  const { opened: ended, open: end } = gate()
  const run = chat.start(async run => {
    open(run)
    await ended
  })
  const [note, other] = [(await opened).reply({ role: 'note' }), run.reply()]
  const write = async (text: string) => {
    note.write(text)
    other.write(text)
    await client.until(() => textOf(other.id).endsWith(text))
  }
  /** Text of a message by the rules of the protocol. */
  const textOf = (id: string) => client.received.reduce((text, { type, data }) => {
    const { message_id: messageId, content, at, text: more } = data as Data ?? {}
    if (messageId !== id) return text
    if (type === 'chat_message') return content
    if (type === 'chat_delta' && at > text.length) throw new Error(`a delta at ${at}, but ${text.length} characters are shown`)
    return type === 'chat_delta' ? text.slice(0, at) + more : text
  }, '')
  await write('one ')
  await write('two ')
  t.equal(textOf(note.id), '')
  await renew(client, 'ada staff')
  await write('three ')
  await write('four ')
  t.equal(textOf(note.id), 'one two three four ')
  await renew(client, 'ada guest')
  await write('five ')
  t.equal(textOf(note.id), 'one two three four ')
  await renew(client, 'ada staff')
  await write('six ')
  t.equal(textOf(note.id), 'one two three four five six ')
  end()
  await finished(client)
  t.equal(textOf(note.id), 'one two three four five six ')
})

t.test('a renewal calls authorize with the new identity and the target of the connection', async t => {
  const asked: Array<[string, Target]> = []
  const { join } = await startWith(t, {
    authorize: (identity, target) => {
      asked.push([roleOf(identity), target])
      return roleOf(identity) === 'staff' || undefined
    }
  })
  const chat = { kind: 'chat', workflow: 'w', appId: 'a', chatId: 'c', userId: 'ada' } as const
  const notifications = { kind: 'notifications', userId: 'ada' } as const
  for (const [path, target] of [[chatPath, chat], ['/ws/notifications/ada', notifications]] as const) {
    const client = await join('bob staff', path)
    t.equal(await renew(client, 'bob staff'), 'renewed')
    // Neither true nor false: the default admits only the owner.
    client.send({ type: 'renew', data: { token: 'bob guest' } })
    t.equal((await client.close()).code, 4403)
    t.strictSame(asked.splice(0), [['staff', target], ['staff', target], ['guest', target]])
  }
  const owner = await join('ada staff')
  t.equal(await renew(owner, 'ada guest'), 'renewed', 'the default admits the owner')
})

t.test('a renewal by a user other than the owner closes with 4403 and renews nothing when authorize returns anything but true', async t => {
  for (const no of [false, undefined, null, 0, 'yes', 1, {}, Promise.resolve(false)]) {
    let answer: unknown = true
    const { join } = await startWith(t, { authorize: () => answer as boolean })
    const client = await join('bob guest')
    answer = no
    client.send({ type: 'renew', ref: 'r', data: { token: 'bob guest' } })
    t.equal((await client.close()).code, 4403)
    t.strictSame(found(client.received, ({ type }) => type === 'renewed' || type === 'ack'), [])
  }
})

t.test('an authorize that throws, rejects or hangs refuses the renewal and changes nothing else', async t => {
  const unauthorized = Object.assign(new Error('expired'), { statusCode: 401 })
  const bad: Record<string, () => unknown> = {
    throws: () => { throw new Error('secret') },
    rejects: async () => { throw new Error('secret') },
    'rejects with nothing': async () => { throw undefined }, // eslint-disable-line no-throw-literal
    'rejects with a 401': async () => { throw unauthorized },
    hangs: () => new Promise(() => {})
  }
  for (const [name, answer] of Object.entries(bad)) {
    const { lines, options } = logSink()
    let isBad = false
    const authorize = () => isBad ? answer() as boolean : true
    const { app, join } = await startWith(t, { authorize, timeouts: { authenticate: 100 } }, { logger: options })
    const client = await join('bob staff')
    isBad = true
    t.equal(await renew(client, 'bob guest'), 'renew_refused', name)
    t.equal(roleOf(app.ws.connections('bob')[0].identity), 'staff')
    t.equal(lines.some(line => line.includes('the renewal failed')), name !== 'rejects with a 401', name)
    isBad = false
    t.equal(await renew(client, 'bob guest'), 'renewed')
  }
})

t.test('visible gets the old identity until authorize resolves, and a message after the renewal is handled with the new one', async t => {
  const asking = gate()
  const { opened, open } = gate<boolean>()
  let isWaiting = false
  const roles: string[] = []
  const read: OnMessage = (_message, connection) => { roles.push(roleOf(connection.identity)) }
  const { app, join } = await startWith(t, {
    authorize: () => {
      if (!isWaiting) return true
      asking.open()
      return opened
    },
    chat: { visible: (_message, identity) => roleOf(identity) === 'staff' },
    onMessage: { read }
  })
  const chat = app.ws.chat({ workflow: 'w', appId: 'a', chatId: 'c', userId: 'ada' })
  const client = await join('bob guest')
  isWaiting = true
  client.send({ type: 'renew', ref: 'r', data: { token: 'bob staff' } })
  client.send({ type: 'read', ref: 'after' })
  await asking.opened
  await chat.send({ type: 'early' })
  t.equal(roleOf(app.ws.connections('bob')[0].identity), 'guest')
  await loopTurns()
  client.send({ type: 'ping' })
  await client.next('pong')
  open(true)
  await client.until(() => client.received.some(({ ref }) => ref === 'after'))
  await chat.send({ type: 'late' })
  await client.next('late')
  t.strictSame(roles, ['staff'], 'a message sent after the renewal is handled after it')
  t.strictSame(found(client.received, ({ type }) => type === 'early'), [])
})

t.test('two renewals at once are handled in order, and the last one applies', async t => {
  const { opened, open } = gate()
  const asked: string[] = []
  const { app, join } = await startWith(t, {
    renew: async token => {
      asked.push(token)
      if (token === 'ada slow') await opened
      return identityOf(token)
    }
  })
  const client = await join('ada guest')
  client.send({ type: 'renew', data: { token: 'ada slow' } })
  client.send({ type: 'renew', ref: 'last', data: { token: 'ada fast' } })
  await eventually(() => asked.length > 0)
  open()
  await client.until(() => client.received.some(({ ref }) => ref === 'last'))
  t.strictSame(asked, ['ada slow', 'ada fast'])
  t.equal(client.received.filter(({ type }) => type === 'renewed').length, 2)
  t.equal(roleOf(app.ws.connections('ada')[0].identity), 'fast')
})

t.test('a renewal that resolves after its timeout changes nothing, also when a later one has succeeded', async t => {
  const { opened, open } = gate()
  let isLate = true
  const { app, join } = await startWith(t, {
    renew: async token => {
      if (isLate) await opened
      return identityOf(token)
    },
    timeouts: { authenticate: 100 }
  })
  const client = await join('ada guest')
  t.equal(await renew(client, 'ada late'), 'renew_refused')
  isLate = false
  t.equal(await renew(client, 'ada staff'), 'renewed')
  open()
  await loopTurns()
  client.send({ type: 'ping' })
  await client.next('pong')
  t.equal(roleOf(app.ws.connections('ada')[0].identity), 'staff')
})

t.test('a connection that closes during authorize keeps its close code and its identity, whatever authorize returns', async t => {
  for (const answer of [true, false]) {
    const asking = gate()
    const { opened, open } = gate<boolean>()
    let isWaiting = false
    const { app, join } = await startWith(t, {
      authorize: () => {
        if (!isWaiting) return true
        asking.open()
        return opened
      }
    })
    const client = await join('bob guest')
    const [connection] = app.ws.connections('bob')
    isWaiting = true
    client.send({ type: 'renew', data: { token: 'bob staff' } })
    await asking.opened
    connection.close(1000)
    open(answer)
    t.equal((await client.close()).code, 1000)
    t.equal(roleOf(connection.identity), 'guest')
    await eventually(() => app.ws.stats().connections === 0)
  }
})

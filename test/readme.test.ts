import { EventEmitter, once } from 'node:events'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { dirname, join } from 'node:path'
import { PassThrough } from 'node:stream'
import type { TSchema } from '@sinclair/typebox'
import Fastify, { type FastifyInstance } from 'fastify'
import { createElement } from 'react'
import { renderToString } from 'react-dom/server'
import t from 'tap'
import ts from 'typescript'
import { WebSocket } from 'ws'
import realtime, { closeCodes, errors, type RealtimeOptions } from '../lib/index.js'
import { closeMeaning } from '../lib/protocol/close-codes.js'
import { optionsSchema } from '../lib/plugin-options.js'
import { refusalReasons } from '../lib/server/reports/refusal-reasons.js'
import { spawnChild } from './children.js'
import { every } from './every.js'
import { Client, connect, refusedWith, start } from './harness.js'
import { eventually, within } from './waiting.js'
import { RedisServer, skipRedis } from './redis-server.js'

const root = dirname(import.meta.dirname)
const readme = readFileSync(join(root, 'README.md'), 'utf8')

interface Snippet {
  name: string
  language: string
  code: string
}

/** Every ts and js fence; the comment before it is its name. */
const snippets: Snippet[] = [...readme.matchAll(/(?:<!-- test: ([\w-]+) -->\n)?```(ts|js)\n(.*?)\n```/gs)]
  .map(([, name, language, code]) => ({ name, language, code }))

type Test = Pick<typeof t, 'teardown' | 'testdir'>
type Asserting = Test & Pick<typeof t, 'equal' | 'match'>

/** The names of the snippets that run below. */
const ran = new Set<string>()

/** The rows of the table that follows a heading and a header row: each an array of cells, without their backquotes. */
function table (heading: string, header: string): string[][] {
  const section = readme.split(/^(?=##+ )/m).find(part => part.startsWith(`${heading}\n`))
  const lines = section!.split('\n')
  const at = lines.indexOf(header)
  const end = lines.findIndex((line, index) => index > at && !line.startsWith('|'))
  return lines.slice(at + 2, end).map(line => line.slice(2, -2).split(/ (?<!\\)\| /).map(cell => cell.trim()))
}

/** What the package exports, by what is imported, and where it is in lib. */
const exported: Record<string, string> = {
  'fastify-realtime': 'index',
  'fastify-realtime/client': 'client/index',
  'fastify-realtime/chat': 'client/chat/index',
  'fastify-realtime/react': 'react/index',
  'fastify-realtime/ai-sdk': 'adapters/ai-sdk',
  'fastify-realtime/ag-ui': 'adapters/ag-ui',
  'fastify-realtime/redis': 'redis',
  'fastify-realtime/publisher': 'publisher',
  'fastify-realtime/testing': 'testing/index'
}

const code = (text: string) => `\`${text}\``

t.test('the options table is the options schema', async t => {
  const rows: string[][] = []
  const walk = (schema: TSchema, path: string[]) => {
    for (const [key, part] of Object.entries<TSchema>(schema.properties)) {
      if (part.properties !== undefined) walk(part, [...path, key])
      else rows.push([code([...path, key].join('.')), defaultOf(part), part.description!])
    }
  }
  const defaultOf = ({ default: value }: TSchema) =>
    value === undefined ? '–' : code(typeof value === 'string' ? `'${value}'` : JSON.stringify(value))
  walk(optionsSchema, [])
  t.ok(rows.length > 30)
  t.same(table('## Options', '| Option | Default | Meaning; what happens beyond it |'), rows)
})

t.test('the errors table has every error with its status', async t => {
  const rows = table('## Errors', '| Code | Status | When | Cure |')
  t.same(rows.map(([name, status]) => [name, status]), Object.values(errors).map(RealtimeError => {
    const error = new RealtimeError('', '')
    return [code(error.code), String(error.statusCode)]
  }))
  for (const [name, , when, cure] of rows) t.ok(when.length > 3 && cure.length > 3, `${name} has a cure`)
})

t.test('the close codes table is the exported one', async t => {
  t.same(table('## Close codes', '| Code | Name | Meaning | What to do |'),
    Object.entries(closeCodes).map(([name, row]) => [String(row.code), code(name), closeMeaning(row.code), row.action]))
})

t.test('the troubleshooting table has every reason for which a client is refused', async t => {
  const rows = table('## Troubleshooting', '| Reason | Code | What the log says | Cure |')
  t.same(rows.map(([reason, status, text]) => [reason, status, text]),
    Object.entries(refusalReasons).map(([reason, row]) => [code(reason), String(row.code), row.text]))
  for (const [reason, , , cure] of rows) t.ok(cure.length > 3, `${reason} has a cure`)
})

t.test('troubleshooting has the error of an app that uses app.ws before it is there', async t => {
  const notAwaited = Fastify()
  notAwaited.register(realtime)
  const failed = Fastify()
  await t.rejects(async () => failed.register(realtime, { prefix: 'no slash' }), { code: 'RT_ERR_OPTIONS' })
  for (const app of [notAwaited, failed]) {
    let message = ''
    try {
      app.ws.sendToUser('ada', { type: 'notification', data: { title: 'x' } })
    } catch (error) {
      message = (error as Error).message
    }
    t.equal(message, "Cannot read properties of undefined (reading 'sendToUser')")
    t.ok(readme.includes(`\`${message}\``))
    await Promise.allSettled([app.close()])
  }
})

t.test('links lead somewhere, and the first code comes at once', async t => {
  const anchors = [...readme.matchAll(/^#+ (.*)$/gm)].map(([, text]) => '#' + text.toLowerCase().replace(/[^\w\- ]/g, '').replaceAll(' ', '-'))
  for (const [, link] of readme.matchAll(/\]\(([^)\s]+)\)/g)) {
    if (/^https?:/.test(link)) continue
    t.ok(link.startsWith('#') ? anchors.includes(link) : existsSync(join(root, link)), link)
  }
  const before = readme.split('\n').findIndex(line => line.startsWith('```'))
  t.ok(before > 0 && before < 15, `${before} lines before it`)
})

t.test('snippets type-check, and the fault codes are those of the source', async t => {
  const files = new Map(snippets.map(({ name, language, code }) =>
    // Without an import or export it would be a script, and share its variables with the others.
    [join(root, 'readme', `${name}.${language}`), /^(import|export) /m.test(code) ? code : `${code}\nexport {}\n`]))
  const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile)
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root)
  Object.assign(options, {
    noEmit: true,
    allowJs: true,
    checkJs: true,
    lib: ['lib.es2023.d.ts', 'lib.dom.d.ts', 'lib.dom.iterable.d.ts'],
    paths: Object.fromEntries(Object.keys(exported).map(name => [name, [join(root, `lib/${exported[name]}.ts`)]]))
  })
  const host = ts.createCompilerHost(options)
  const { readFile, fileExists, getSourceFile } = host
  host.readFile = file => files.get(file) ?? readFile(file)
  host.fileExists = file => files.has(file) || fileExists(file)
  host.getSourceFile = (file, target, ...rest) => {
    const text = files.get(file)
    return text === undefined ? getSourceFile(file, target, ...rest) : ts.createSourceFile(file, text, target)
  }
  const program = ts.createProgram([...files.keys()], options, host)
  for (const file of files.keys()) {
    const source = program.getSourceFile(file)
    const found = [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)]
    t.same(found.map(({ start, messageText }) =>
      `line ${source!.getLineAndCharacterOfPosition(start!).line + 1}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`), [], file.slice(root.length))
  }

  const inbound = program.getSourceFile(join(root, 'lib/server/inbound/fault.ts'))!
  const fault = inbound.statements.filter(ts.isInterfaceDeclaration).find(({ name }) => name.text === 'Fault')!
  const member = fault.members.find(({ name }) => name!.getText(inbound) === 'code')!
  const union = program.getTypeChecker().getTypeAtLocation(member) as ts.UnionType
  const faults = union.types.map(type => code((type as ts.StringLiteralType).value))
  t.same(table('## Errors', '| Code | Meaning | What to do |').map(([name]) => name).sort(), faults.sort())
})

interface Running {
  /** What stands for these strings of the snippet. */
  replace?: Record<string, string>
  /** What the snippet finds in place of these globals. */
  globals?: Record<string, unknown>
}

/** The snippet as a file of its own, with the library's source for the package. */
function write (t: Test, name: string, { replace = {}, globals = {} }: Running = {}): string {
  const file = join(t.testdir(), `${name}-${++written}.mjs`)
  const snippet = snippets.find(snippet => snippet.name === name)!
  let text = ts.transpileModule(snippet.code, {
    compilerOptions: { target: ts.ScriptTarget.ES2023, module: ts.ModuleKind.ESNext, verbatimModuleSyntax: true }
  }).outputText
  for (const [name, file] of Object.entries(exported)) text = text.replaceAll(`'${name}'`, `'${new URL(`../lib/${file}.js`, import.meta.url).href}'`)
  for (const [from, to] of Object.entries({ 'port: 3000': "port: 0, host: '127.0.0.1'", ...replace })) text = text.replaceAll(from, to)
  const given = Object.keys(globals)
  if (given.length > 0) {
    injected.set(file, globals)
    text = `const { ${given.join(', ')} } = globalThis[Symbol.for('readme')].get(${JSON.stringify(file)})\n${text}`
  }
  for (const own of ['app', 'socket', 'client']) if (new RegExp(`^const ${own} =`, 'm').test(text)) text += `\nexport { ${own} }\n`
  writeFileSync(file, text)
  return file
}

let written = 0
const injected = new Map<string, object>()
Object.assign(globalThis, { [Symbol.for('readme')]: injected })

async function run (t: Test, name: string, options?: Running): Promise<any> {
  ran.add(name)
  return import(`file://${write(t, name, options)}`)
}

/** Runs a snippet that listens. */
async function serve (t: Test, name: string, options?: Running): Promise<{ app: FastifyInstance, host: string, url: string }> {
  const { app } = await run(t, name, options)
  t.teardown(() => app.close())
  const host = `127.0.0.1:${(app.server.address() as AddressInfo).port}`
  return { app, host, url: `ws://${host}/ws` }
}

/** Runs a snippet that is a plugin. */
async function mount (t: Test, name: string, options = {}): Promise<{ app: FastifyInstance, host: string, url: string }> {
  const { default: plugin } = await run(t, name)
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(realtime)
  await app.register(plugin, options)
  await app.listen({ port: 0, host: '127.0.0.1' })
  const host = `127.0.0.1:${(app.server.address() as AddressInfo).port}`
  return { app, host, url: `ws://${host}/ws` }
}

/** Runs a snippet of a page, and keeps what it logs. */
async function browse (t: Test, name: string, host: string): Promise<string[]> {
  const lines: string[] = []
  const console = { log: (...parts: unknown[]) => lines.push(parts.join(' ')) }
  const { socket } = await run(t, name, { globals: { WebSocket, console, location: { host } } })
  t.teardown(() => socket.terminate())
  return lines
}

async function post (app: FastifyInstance, url: string, payload?: object): Promise<any> {
  const response = await app.inject({ method: 'POST', url, payload })
  if (response.statusCode >= 300) throw new Error(`${response.statusCode}: ${response.body}`)
  return response.json()
}

/** How the server closes a connection that it does not want. */
async function refusal (t: Test, url: string, options?: ConstructorParameters<typeof Client>[1]): Promise<number> {
  const client = new Client(url, options)
  t.teardown(() => client.socket.terminate())
  return (await client.close()).code
}

t.test('the quick start connects a page and greets it', async t => {
  const { app, host } = await serve(t, 'quick-start')
  const lines = await browse(t, 'quick-start-client', host)
  await eventually(() => lines.length === 1)
  await post(app, '/hello')
  await eventually(() => lines.length === 2)
  t.same(lines, ['connected as user_123', 'Hello'])
})

t.test('the snippet that pushes to a user reaches that user', async t => {
  const { app, url } = await mount(t, 'push')
  const client = await connect(t, `${url}/notifications/ada`)
  t.same(await post(app, '/users/ada/orders/o1/ship'), { shipped: 'o1' })
  t.match(await client.next(), { type: 'task_update', action: 'shipped', data: { task_id: 'o1' } })
})

t.test('the snippet that broadcasts reaches everybody', async t => {
  const { app, url } = await mount(t, 'broadcast')
  const clients = await Promise.all(['ada', 'bob'].map(user => connect(t, `${url}/notifications/${user}`)))
  const { id } = await post(app, '/maintenance')
  for (const client of clients) t.match(await client.next(), { type: 'system_announcement', message: /maintenance/, id })
})

t.test('the snippet of an optimistic UI shows a task at once, confirms it once, and takes it back on failure', async t => {
  let user: string | undefined = 'ada'
  const { host, url } = await mount(t, 'optimistic', { userOf: () => user })
  let request = (path: string, init: RequestInit): unknown => fetch(`http://${host}${path}`, init)
  const page = await run(t, 'optimistic-client', { globals: { fetch: (path: string, init: RequestInit) => request(path, init) } })
  const client = await connect(t, `${url}/notifications/ada`)

  const added = page.addTask('Buy milk')
  t.same([...page.tasks.values()], [{ title: 'Buy milk', isPending: true }])
  await added
  const { data } = await client.next('task_update')
  const shown = [[data.task_id, { title: 'Buy milk', isPending: false }]]
  t.same([...page.tasks], shown, 'the HTTP answer confirms it')
  page.onMessage({ type: 'task_update', action: 'created', data })
  t.same([...page.tasks], shown, 'the message changes nothing more')

  user = undefined
  await t.rejects(page.addTask('Without a credential'), { message: 'HTTP 401' })
  request = () => Promise.reject(new TypeError('fetch failed'))
  await t.rejects(page.addTask('Never sent'), { message: 'fetch failed' })
  t.equal(page.tasks.size, 1)
})

t.test('the snippet with @fastify/jwt lets in who has a token for the channel, for as long as it lasts', async t => {
  process.env.JWT_SECRET = 'a secret for this test'
  const { app, url } = await serve(t, 'jwt')
  const tokenOf = (sub: string, expiresIn: string) => (app as any).jwt.sign({ sub }, { expiresIn })
  const token = tokenOf('ada', '1h')

  t.equal((await connect(t, `${url}/notifications/ada?token=${token}`)).ack.data?.user_id, 'ada')
  await connect(t, `${url}/notifications/ada`, { headers: { authorization: `Bearer ${token}` } })
  t.equal(await refusal(t, `${url}/notifications/bob?token=${token}`), 4403)
  t.equal(await refusal(t, `${url}/notifications/ada?token=${token}x`), 4401)
  t.equal(await refusal(t, `${url}/notifications/ada`), 4401)
  const brief = await connect(t, `${url}/notifications/ada?token=${tokenOf('ada', '2s')}`)
  t.equal((await brief.close()).code, 4401)
})

t.test('the snippet that renews a credential takes a later one of the same user', async t => {
  process.env.JWT_SECRET = 'a secret for this test'
  const { app, url } = await serve(t, 'renew')
  const tokenOf = (sub: string, expiresIn: string) => (app as any).jwt.sign({ sub }, { expiresIn })
  const client = await connect(t, `${url}/notifications/ada?token=${tokenOf('ada', '2s')}`)
  t.ok(client.ack.data!.expires_in_ms! <= 2_000)
  const renew = (token: string) => client.send({ type: 'renew', ref: 1, data: { token } })

  for (const token of ['no token', tokenOf('bob', '1h')]) {
    renew(token)
    t.match(await client.next(), { type: 'error', data: { code: 'renew_refused' } })
  }
  renew(tokenOf('ada', '4s'))
  t.ok((await client.next('renewed')).data!.expires_in_ms! > 2_000)
  await client.next('ack')
  t.match(await client.close(), { code: 4401 })
  t.equal(await refusal(t, `${url}/notifications/ada?token=no`), 4401)
  t.equal(await refusal(t, `${url}/notifications/ada`), 4401)
})

t.test('the snippet with authorize lets in who may connect', async t => {
  const { url } = await serve(t, 'authorize')
  const ada = { headers: { 'x-session': 'secret-1' } }
  const bob = { headers: { 'x-session': 'secret-2' } }
  await connect(t, `${url}/notifications/bob`, bob)
  await connect(t, `${url}/support/shop/c1/bob`, bob)
  await connect(t, `${url}/internal/shop/c1/bob`, ada)
  t.equal(await refusal(t, `${url}/internal/shop/c1/bob`, bob), 4403)
  t.equal(await refusal(t, `${url}/notifications/ada`, bob), 4403)
  t.equal(await refusal(t, `${url}/notifications/ada`), 4401)
})

t.test('the snippets that send and receive messages handle one once', async t => {
  const { host, url } = await serve(t, 'on-message')
  const client = await connect(t, `${url}/notifications/user_123`)
  const lines = await browse(t, 'on-message-client', host)
  t.match(await client.next(), { type: 'marked_read', data: { ids: ['n1', 'n2'] } })
  await eventually(() => lines.length === 1)
  t.match(lines[0], /^done [\da-f-]{36}$/)
  // The same frame once more, as after a lost connection.
  const ref = lines[0].slice('done '.length)
  client.send({ type: 'mark_read', ref, data: { ids: ['n1', 'n2'] } })
  t.match(await client.next(), { type: 'ack', ref })
  client.send({ type: 'no_such_type', ref: 7 })
  t.match(await client.next(), { type: 'error', ref: 7, data: { code: 'unknown_type' } })
})

t.test('the snippets for Redis reach users on all machines', { skip: skipRedis }, async t => {
  process.env.REDIS_URL = (await RedisServer.start(t)).url
  t.teardown(() => { delete process.env.REDIS_URL })
  const nodes = [await serve(t, 'redis'), await serve(t, 'redis')]
  const clients = await Promise.all(nodes.map(({ url }) => connect(t, `${url}/notifications/user_123`)))
  await run(t, 'publisher')
  const [first, second] = await Promise.all(clients.map(client => client.next('notification')))
  t.match(first, { data: { title: 'Your report is ready' }, id: second.id })
})

t.test('the snippet of a chat answers, asks, and shows the same on all devices', async t => {
  const orders = { fetch: async () => ({ json: async () => [1, 2] }) }
  const { app, url } = await serve(t, 'chat', { globals: orders })
  const phone = await connect(t, `${url}/support/shop/c1/ada`)
  phone.send({ type: 'chat_message', ref: 'm1', data: { content: 'Hi' } })
  const { data: { request_id: id } } = await phone.next('input_request') as any
  const laptop = await connect(t, `${url}/support/shop/c1/ada`)
  t.match(await laptop.next('input_request'), { data: { prompt: 'Ship 2 orders?' } })
  laptop.send({ type: 'input_response', ref: 'a1', data: { request_id: id, value: { ship: 'yes' } } })
  t.match(await laptop.next('error'), { ref: 'a1', data: { code: 'bad_value' } })
  laptop.send({ type: 'input_response', ref: 'a2', data: { request_id: id, value: { ship: true } } })
  t.match(await phone.next('input_closed'), { data: { reason: 'answered' } })
  t.match(await phone.next('run_finished'), { data: { ref: 'm1', status: 'complete' } })
  const tablet = await connect(t, `${url}/support/shop/c1/ada`)
  await tablet.next('input_closed')
  t.match(await tablet.next('chat_message'), { data: { agent: 'clerk', content: 'You said: Hi', status: 'complete' } })
  const run = app.ws.chat({ workflow: 'support', appId: 'shop', chatId: 'c1', userId: 'ada' }).start(run => run.stream((async function * () { yield 'x' })()))
  t.equal(await run.finished, 'complete')
})

t.test('the snippets that show a chat do so, in plain JavaScript and in React', async t => {
  const { port } = await start(t, {
    chat: { onMessage: async (run, { content }) => { await run.reply().write(`You said: ${content}`) } }
  })
  const lines: string[] = []
  const console = { log: (...parts: unknown[]) => lines.push(parts.join(' ')) }
  Object.assign(globalThis, { WebSocket })
  t.teardown(() => { delete (globalThis as { WebSocket?: unknown }).WebSocket })
  const { client } = await run(t, 'chat-client', { globals: { console }, replace: { 'http://localhost:3000': `http://127.0.0.1:${port}` } })
  t.teardown(() => client.close())
  await eventually(() => lines.includes('assistant You said: Hi complete'))
  t.ok(lines.includes('user Hi pending') || lines.includes('user Hi complete'))

  const { App } = await run(t, 'chat-react')
  t.equal(renderToString(createElement(App)), '<main><button>Say hi</button><button>Stop</button></main>')
})

t.test('the snippet with types of its own sends what matches, and refuses the rest', async t => {
  const { app, url } = await serve(t, 'own-types')
  const client = await connect(t, `${url}/notifications/user_123`)
  await post(app, '/ship')
  t.match(await client.next(), { type: 'order_shipped', data: { order_id: 'o1', carrier: 'post' } })
  await t.rejects(app.ws.sendToUser('user_123', { type: 'order_shipped', data: { order_id: 1 } } as any), { code: 'RT_ERR_INVALID_MESSAGE' })
})

t.test('the snippet that knows who is online counts a user once', async t => {
  const log = new PassThrough()
  const { app, url } = await serve(t, 'online', {
    replace: { 'Fastify()': 'Fastify({ logger: { stream: log } })' },
    globals: { log }
  })
  let written = ''
  log.on('data', chunk => { written += chunk })
  const count = (message: string) => written.split(message).length - 1
  const online = async (id: string) => (await app.inject(`/users/${id}/online`)).json()

  const first = await connect(t, `${url}/notifications/ada`)
  const second = await connect(t, `${url}/support/shop/c1/ada`)
  t.equal(count('came online'), 1)
  t.match(await online('ada'), { online: true, connections: [{ userId: 'ada' }, { userId: 'ada' }] })
  t.same(await online('bob'), { online: false, connections: [] })
  t.match((await app.inject('/stats')).json(), { connections: 2, users: 1 })

  first.socket.close()
  await eventually(() => app.ws.connections('ada').length === 1)
  t.equal(count('went offline'), 0)
  second.socket.close()
  await eventually(() => count('went offline') === 1)
  t.same(await online('ada'), { online: false, connections: [] })
})

t.test('the snippet that closes connections does so with 4403 and 4401', async t => {
  const { app, url } = await mount(t, 'close')
  const ada = await connect(t, `${url}/notifications/ada`)
  const bob = await connect(t, `${url}/notifications/bob`)
  t.same(await post(app, '/users/ada/ban'), { closed: 1 })
  t.equal((await ada.close()).code, 4403)
  t.same(await post(app, '/users/bob/logout'), { closed: 1 })
  t.equal((await bob.close()).code, 4401)
})

t.test('the snippet for a page connects, sends and shows', async t => {
  const votes: unknown[] = []
  const { app, port } = await start(t, { onMessage: { vote: ({ data }) => { votes.push(data) } } })
  const lines: string[] = []
  const console = { log: (...parts: unknown[]) => lines.push(parts.join(' ')) }
  Object.assign(globalThis, { WebSocket })
  t.teardown(() => { delete (globalThis as { WebSocket?: unknown }).WebSocket })
  const replace = { 'http://localhost:3000': `http://127.0.0.1:${port}` }
  const { client } = await run(t, 'client', { globals: { console, location: { reload () {} } }, replace })
  t.teardown(() => client.close())
  t.strictSame(votes, [{ choice: 1 }])
  t.strictSame(lines, ['open'])
  await app.ws.sendToUser('ada', { type: 'notification', data: { title: 'Hello' } })
  await eventually(() => lines.length === 2)
  t.match(lines[1], /^\d{4}-.*Z Hello$/)
})

t.test("the snippet for the AI SDK's useChat renders", async t => {
  const { Chat } = await run(t, 'ai-sdk')
  t.equal(renderToString(createElement(Chat, { id: 'c1' })), '<main><button>Say hello</button></main>')
})

t.test('the snippet for AG-UI translates both ways', async t => {
  const lines: string[] = []
  await run(t, 'ag-ui', { globals: { console: { log: (...parts: unknown[]) => lines.push(parts.join(' ')) } } })
  t.same(lines, ['chat_message ', 'chat_delta Hello', 'TEXT_MESSAGE_START', 'TEXT_MESSAGE_CONTENT'])
})

t.test('the snippet for React renders', async t => {
  const { App } = await run(t, 'react')
  t.equal(renderToString(createElement(App)), '<button disabled="">0 of 0 unread</button><p>0 orders shipped</p>')
})

t.test('the snippet that compresses does so', async t => {
  const { url } = await serve(t, 'compression')
  t.match((await connect(t, `${url}/notifications/ada`)).socket.extensions, /permessage-deflate/)
})

t.test('the snippet for a graceful shutdown sends what was accepted and closes with 1012', async t => {
  const process = new EventEmitter()
  const { app, url } = await serve(t, 'shutdown', { globals: { process } })
  const client = await connect(t, `${url}/notifications/ada`)
  await app.ws.sendToUser('ada', { type: 'last' })
  process.emit('SIGTERM')
  t.equal((await client.next()).type, 'last')
  t.match(await client.close(), { code: 1012, reason: /^retry_ms=\d+$/ })
})

t.test('the snippet that closes from a handler ends the server, by a message and by a request', async t => {
  const byMessage = await serve(t, 'close-from-handler')
  const client = await connect(t, `${byMessage.url}/notifications/ada`)
  client.send({ type: 'shut_down', ref: 's1' })
  t.match(await client.next(), { type: 'ack', ref: 's1' })
  t.equal((await client.close()).code, 1012)
  await once(byMessage.app.server, 'close')

  const byRoute = await serve(t, 'close-from-handler')
  const response = await fetch(`http://${byRoute.host}/shut-down`, { method: 'POST' })
  t.same(await response.json(), { closing: true })
  await eventually(() => !byRoute.app.server.listening)
})

t.test('the snippet for pages of another origin lets in these and no others', async t => {
  const { url } = await serve(t, 'origins')
  for (const origin of ['http://localhost:5173', 'http://localhost:3000']) await connect(t, `${url}/notifications/ada`, { origin })
  t.equal(await refusedWith(`${url}/notifications/ada`, { origin: 'http://localhost:5174' }), 403)
})

t.test('the snippet with a websocket route of its own echoes, up to its limit', async t => {
  const { host } = await serve(t, 'own-route')
  const socket = new WebSocket(`ws://${host}/echo`)
  t.teardown(() => socket.terminate())
  await once(socket, 'open')
  socket.send('hello')
  t.equal(String((await once(socket, 'message'))[0]), 'hello')
  socket.send('x'.repeat(128 * 1024 + 1))
  t.equal((await once(socket, 'close'))[0], 1009)
})

/** Runs a snippet that is a test of node:test. */
async function passes (t: Asserting, name: string): Promise<void> {
  ran.add(name)
  const child = spawnChild(process.execPath, [...process.execArgv, write(t, name)], { stdio: ['ignore', 'pipe', 'inherit'] })
  let output = ''
  child.stdout!.on('data', chunk => { output += chunk })
  const [status] = await within(once(child, 'close'), `the end of the snippet '${name}'`)
  t.equal(status, 0, output)
  t.match(output, /pass 1\n/)
}

t.test('the snippets for testing an app pass, and are short', async t => {
  await passes(t, 'testing')
  const { code } = snippets.find(({ name }) => name === 'testing')!
  const [, body] = code.split(/^(?=test\()/m)
  t.ok(body.split('\n').length <= 10, 'in ten lines')
  await passes(t, 'fake-client')
})

t.test('the snippet that resumes after a reconnect loses nothing', async t => {
  /** The snippet's client at a server of this test. */
  async function resuming (t: Test, options: RealtimeOptions = {}) {
    const { app, url } = await start(t, options)
    const log: string[] = []
    let urls = 0
    const { connect: open } = await run(t, 'resume', { globals: { WebSocket } })
    const end = open({
      getUrl: () => `${url}/ws/notifications/ada?attempt=${++urls}`,
      onMessage: ({ type }: { type: string }) => log.push(type),
      reload: () => log.push('reload'),
      onStop: (code: number) => log.push(`stop ${code}`)
    })
    t.teardown(end)
    return { app, log, end, attempts: () => urls }
  }

  t.test('what was missed comes in order and once', async t => {
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

  t.test('it stops when it is told to', async t => {
    const { app, log, attempts } = await resuming(t)
    await eventually(() => log.length === 1)
    app.ws.disconnectUser('ada')
    await eventually(() => log.length === 2)
    t.same(log, ['reload', 'stop 4403'])
    t.equal(attempts(), 1)
  })

  t.test('it asks for a new credential once', async t => {
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
    const { stopCodes } = await run(t, 'resume')
    t.same(stopCodes, Object.values(closeCodes).filter(({ action }) => action === 'stop').map(({ code }) => code))
  })

  t.test('it follows the protocol frame by frame', async t => {
    /** A socket that does what the test says. */
    class Scripted {
      static all: Scripted[] = []
      readonly url: URL
      onmessage!: (event: { data: string }) => void
      onclose!: (event: { code: number, reason: string }) => void
      constructor (url: URL) {
        this.url = url
        Scripted.all.push(this)
      }

      get since () {
        return this.url.searchParams.get('since')
      }

      frames (...frames: object[]) {
        for (const frame of frames) this.onmessage({ data: JSON.stringify(frame) })
      }

      close (code = 1005) {
        this.onclose({ code, reason: '' })
      }
    }
    const ack = (position: string, recovered?: boolean) => ({ type: 'connection_ack', data: { position, recovered } })
    const delays: number[] = []
    const log: string[] = []
    let reload = async () => { log.push('reload') }
    const { connect: open } = await run(t, 'resume', {
      globals: {
        WebSocket: Scripted,
        setTimeout: (action: () => void, ms: number) => {
          delays.push(ms)
          setImmediate(action)
        }
      }
    })
    let isUrlKnown = true
    t.teardown(open({
      getUrl: () => isUrlKnown ? 'ws://test/' : undefined,
      onMessage: ({ type }: { type: string }) => log.push(type),
      reload: () => reload()
    }))
    const socket = async (count: number) => {
      await eventually(() => Scripted.all.length === count)
      return Scripted.all[count - 1]
    }

    const first = await socket(1)
    t.equal(first.since, null)
    let loaded = () => {}
    reload = () => new Promise<void>(resolve => {
      loaded = () => {
        log.push('loaded')
        resolve()
      }
    })
    first.frames(ack('u.a.0,b.a.0'), { type: 'during', id: 'u.a.1' })
    await new Promise(resolve => setImmediate(resolve))
    t.same(log, [], 'messages wait until the state is loaded')
    loaded()
    await eventually(() => log.length === 2)
    t.same(log.splice(0), ['loaded', 'during'])

    reload = async () => { log.push('reload') }
    first.frames({ type: 'resync', data: { position: 'b.a.9' } }, { type: 'after', id: 'b.a.10' })
    await eventually(() => log.length === 2)
    t.same(log.splice(0), ['reload', 'after'])
    first.onclose({ code: 1012, reason: 'retry_ms=1234' })
    t.same(delays.splice(0), [1234])

    const second = await socket(2)
    t.equal(second.since, 'u.a.1,b.a.10')
    first.frames({ type: 'late', id: 'u.a.2' })
    second.frames(ack('u.a.1,b.a.10', true), { type: 'late', id: 'u.a.2' })
    await eventually(() => log.length === 1)
    t.same(log.splice(0), ['late'], 'what the old connection had left is not shown twice')

    reload = async () => { throw new Error('the API is down') }
    second.frames({ type: 'resync', data: { position: 'b.a.20' } }, { type: 'not shown', id: 'b.a.21' })
    const third = await socket(3)
    t.equal(third.since, null, 'after a failed reload it starts over')
    t.same(log, [])

    reload = async () => { log.push('reload') }
    third.frames(ack('u.a.3,b.a.21'))
    await eventually(() => log.length === 1)
    delays.length = 0
    third.close(4429)
    t.ok(delays[0] >= 5_000)
    const fourth = await socket(4)
    isUrlKnown = false
    fourth.close(1006)
    await eventually(() => delays.length > 12)
    t.ok(every(delays.slice(1), ms => ms > 0 && ms <= 30_000), 'the delay is bounded')
    t.ok(delays.at(-1)! >= 15_000, 'and grows')
    isUrlKnown = true
    t.equal((await socket(5)).since, 'u.a.3,b.a.21')
  })
})

t.test('every snippet has a name of its own and is run', async t => {
  const names = snippets.map(({ name }) => name)
  t.notOk(names.includes(undefined!))
  t.same([...new Set(names)], names)
  t.same([...ran].sort(), [...names].sort())
})

/**
 * The demo: `npm start`, then http://localhost:8000 (PORT and HOST change it). It needs no services and keeps everything in memory. For
 * several servers with a REDIS_URL, see cluster.ts.
 *
 *     curl -H 'content-type: application/json' localhost:8000/api/users/user_123/messages \
 *       -d '{ "type": "notification", "data": { "title": "Hello" } }'
 */
import { randomUUID } from 'node:crypto'
import { existsSync, readFileSync, realpathSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setImmediate, setTimeout } from 'node:timers/promises'
import { Type, type Static } from '@sinclair/typebox'
import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import realtime, {
  defineChannel, Id, type ChatAddress, type Message, type RealtimeConnection, type RealtimeOptions, type Receipt
} from 'fastify-realtime'
import { redisBroker } from 'fastify-realtime/redis'
import { Redis } from 'ioredis'
import { agentFrom, historyBefore, type Agent } from './agent.js'
import { ChatHistory } from './chat-history.js'
import { Recent } from './recent.js'
import { scriptedAgent } from './scripted-agent.js'
import { SharedRecent } from './shared-recent.js'

const count = Type.Integer({ minimum: 0 })

/** Figures of the dashboard. */
const StatsUpdate = Type.Object({ connections: count, users: count, publications: count, deliveries: count, writes: count, resyncs: count })

/** Name of the server, when there are several. */
const ServedBy = Type.Object({ node: Type.String() })

/**
 * Channel of a server's figures, which all users watch, and see each other watch. Without a history: figures are worthless after a second.
 */
const dashboard = defineChannel({
  authorize: () => true,
  messages: { stats_update: StatsUpdate },
  history: false,
  presence: { data: Type.Object({ isTyping: Type.Boolean() }) }
})

/** Data of a device in a chat, which the other devices show. */
const DevicePresence = Type.Object({ device: Type.String({ maxLength: 16 }), isTyping: Type.Boolean() })

declare module 'fastify-realtime' {
  interface Messages { served_by: Static<typeof ServedBy> }
}

const NewTask = Type.Object({
  title: Type.String({ minLength: 1, maxLength: 200, pattern: '\\S' }),
  user_id: Type.Unsafe<string>({ ...Id, default: 'user_123' }),
  /** Name that the page gives the task until it knows its id. The confirmation contains it. */
  client_ref: Type.Optional(Type.String({ minLength: 1, maxLength: 128 })),
  /** Makes the request fail, to show what the page does. */
  fail: Type.Optional(Type.Boolean())
})

interface Task {
  task_id: string
  title: string
  client_ref?: string
}

interface UserParams {
  user_id: string
}

interface ChatParams extends UserParams {
  workflow: string
  app_id: string
  chat_id: string
}

export interface DemoOptions {
  server?: FastifyServerOptions
  realtime?: RealtimeOptions
  /** Interval at which the dashboard is refreshed, in ms. Default: 1,000. */
  refresh?: number
  /** Agent that answers in chats. Default: a script. */
  agent?: Agent
  /** Name of this server, when there are several. */
  node?: string
  /** Redis in which all servers keep their state. Default: this server keeps it in memory. */
  redis?: Redis
}

const loopback = /^(localhost|127(\.\d{1,3}){3}|\[?::1\]?)$/

/** Returns the app of the demo, which does not listen yet. */
export async function build (demo: DemoOptions = {}) {
  const { server = {}, realtime: options = {}, refresh = 1000, agent = scriptedAgent(), node, redis } = demo
  const app = Fastify({
    ...server,
    bodyLimit: 64 * 1024,
    // An id has up to 128 characters, and each may be written as %XX.
    routerOptions: { maxParamLength: 3 * 128 },
    // A message is sent unchanged, or refused.
    ajv: { customOptions: { coerceTypes: false, removeAdditional: false } }
  })
  // Like the plugin without `authenticate`: refuses pages that use another name for this machine (DNS rebinding).
  if (options.insecure !== true) app.addHook('onRequest', refuseOtherHosts)
  // A page of another site may post text or a form here without a preflight. JSON needs a preflight, which this server does not answer.
  // Accepting only JSON therefore prevents CSRF; other types get a 415. By default Fastify accepts text too.
  app.removeContentTypeParser('text/plain')

  const history = new ChatHistory()
  await app.register(realtime, {
    ...options,
    ...redis && { broker: redisBroker({ client: redis }) },
    channels: { dashboard },
    messages: { served_by: ServedBy },
    onConnect: welcome,
    chat: {
      async onMessage (run, message) {
        // The text of a run that was stopped is saved by the next turn.
        await setImmediate()
        await agent.answer(run, message, historyBefore(message, history.of(run.target)))
      },
      save: history.save,
      loadHistory: history.load,
      presence: { data: DevicePresence }
    }
  })
  addPage(app)
  addApi(app, redis)
  app.get('/api/agent', async () => ({ name: agent.name, is_scripted: agent.isScripted }))

  function welcome (connection: RealtimeConnection): void {
    if (node !== undefined) connection.send({ type: 'served_by', data: { node } })
  }

  const figures = app.ws.channel('dashboard', node ?? 'server')
  const timer = setInterval(() => {
    const { connections, users, publications, deliveries, writes, resyncs } = app.ws.stats()
    // The broker logs an outage, and the next figures follow in a second.
    figures.send({ type: 'stats_update', data: { connections, users, publications, deliveries, writes, resyncs } }).catch(() => {})
  }, refresh)
  app.addHook('preClose', async () => clearInterval(timer))
  return app
}

/** Pushes with one line in a route handler. Rejections of `fastify.ws` have the HTTP status and the reason for the response. */
function addApi (app: FastifyInstance, redis?: Redis): void {
  const recent = <T>(name: string, size: number) => redis === undefined ? new Recent<T>(size) : new SharedRecent<T>(redis, name, size)
  const tasks = recent<Task>('tasks', 100)
  const notifications = recent<Message & Receipt>('notifications', 20)
  const announcements = recent<Message & Receipt>('announcements', 20)
  const isForBell = ({ type }: Message) => type === 'notification' || type === 'system_announcement'

  app.post<{ Params: UserParams, Body: Message }>('/api/users/:user_id/messages', async ({ params, body }, reply) => {
    const receipt = await app.ws.sendToUser(params.user_id, body)
    if (isForBell(body)) await notifications.add(params.user_id, { ...body, ...receipt })
    return reply.code(202).send(receipt)
  })

  app.post<{ Body: Message }>('/api/broadcast', async ({ body }, reply) => {
    const receipt = await app.ws.broadcast(body)
    if (isForBell(body)) await announcements.add('all', { ...body, ...receipt })
    return reply.code(202).send(receipt)
  })

  app.post<{ Params: ChatParams, Body: Message }>('/api/chats/:workflow/:app_id/:chat_id/:user_id/messages', async ({ params, body }, reply) => {
    const address: ChatAddress = { workflow: params.workflow, appId: params.app_id, chatId: params.chat_id, userId: params.user_id }
    return reply.code(202).send(await app.ws.chat(address).send(body))
  })

  app.post<{ Body: Static<typeof NewTask> }>('/api/tasks', { schema: { body: NewTask } }, async ({ body }, reply) => {
    const { user_id: userId, title, client_ref: ref, fail } = body
    if (fail === true) return failSlowly()
    const task = { task_id: randomUUID().slice(0, 8), title, client_ref: ref }
    // In this order, so that a page that loads its state after the push finds the task in it.
    await tasks.add(userId, task)
    try {
      await app.ws.sendToUser(userId, { type: 'task_update', action: 'created', data: task })
    } catch (error) {
      await tasks.remove(userId, task)
      throw error
    }
    return reply.code(201).send(task)
  })

  // State that a page loads at first, and again when messages were missed.
  app.get<{ Params: UserParams }>('/api/users/:user_id/state', async ({ params }) => ({
    tasks: await tasks.of(params.user_id),
    messages: [...await notifications.of(params.user_id), ...await announcements.of('all')]
  }))

  app.get('/api/stats', async () => app.ws.stats())
}

/** Fails after a delay, so that the page can be watched meanwhile. */
async function failSlowly (): Promise<never> {
  await setTimeout(700)
  throw Object.assign(new Error('The server was asked to fail'), { statusCode: 503 })
}

/** Serves the page that `npm run build` made of examples/page. It loads nothing from other servers. */
function addPage (app: FastifyInstance): void {
  const files = [
    ['/', 'index.html', 'text/html; charset=utf-8'],
    ['/chat', 'index.html', 'text/html; charset=utf-8'],
    ['/page.js', 'page.js', 'text/javascript; charset=utf-8'],
    ['/page.css', 'page.css', 'text/css; charset=utf-8']
  ]
  const headers = {
    'content-security-policy': "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; " +
      "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    'x-content-type-options': 'nosniff',
    'cache-control': 'no-store',
    'referrer-policy': 'no-referrer'
  }
  for (const [path, name, type] of files) {
    const text = readFileSync(join(packageRoot(), 'dist/examples/page', name), 'utf8')
    app.get(path, async (_request, reply) => reply.headers(headers).type(type).send(text))
  }
}

/** Returns the folder of the package. This file is in examples/, or compiled in dist/examples/. */
function packageRoot (): string {
  let folder = import.meta.dirname
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder)
  return folder
}

async function refuseOtherHosts ({ hostname }: { hostname: string }): Promise<void> {
  if (loopback.test(hostname)) return
  throw Object.assign(new Error('This demo is for this machine only: call it localhost, or set HOST'), { statusCode: 403 })
}

async function main (): Promise<void> {
  const host = process.env.HOST || 'localhost'
  const port = Number(process.env.PORT || 8000)
  // The demo does not authenticate, so the plugin accepts only this machine. Another HOST allows more, deliberately.
  const insecure = !loopback.test(host)
  const agent = agentFrom(process.env)
  const { REDIS_URL: url, NODE_NAME: node } = process.env
  const redis = url === undefined ? undefined : new Redis(url)
  const app = await build({ server: { logger: true }, realtime: { insecure }, agent, node, redis })
  app.addHook('onClose', () => redis?.disconnect())
  if (insecure) app.log.warn(`Everyone who can reach ${host} can connect as anyone`)
  app.log.info(`Chats are answered by ${agent.name}`)

  let isClosing = false
  const close = () => {
    if (isClosing) process.exit(1)
    isClosing = true
    app.close()
  }
  process.on('SIGTERM', close)
  process.on('SIGINT', close)
  await app.listen({ host, port })
}

const started = process.argv[1] ?? ''
if (existsSync(started) && realpathSync(started) === import.meta.filename) await main()

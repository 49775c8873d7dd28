import Fastify from 'fastify'
import { existsSync } from 'node:fs'
import { fileURLToPath, pathToFileURL } from 'node:url'

const workingTree = fileURLToPath(new URL('../../dist/lib', import.meta.url))

/**
 * The package with its defaults, except for who may connect. `build` is the folder of the build to load; `redis` is a URL, for one of
 * several nodes. `boards`: with kinds of channels.
 */
export default async function ({ build = workingTree, redis, boards = false, ...options } = {}) {
  const load = file => import(pathToFileURL(`${build}/${file}`).href)
  const { default: realtime } = await load('index.js')
  // Older builds have it with the brokers.
  const redisFile = existsSync(`${build}/redis.js`) ? 'redis.js' : 'brokers/redis.js'
  const app = Fastify()
  await app.register(realtime, {
    authenticate: request => ({ userId: request.params.user_id }),
    ...redis && { broker: (await load(redisFile)).redisBroker({ url: redis }) },
    ...boards && { channels: { board: { authorize: () => true }, desk: { authorize: () => true, presence: true } } },
    ...options,
    limits: { connectionsPerUser: 20_000, connections: 20_000, ...options.limits }
  })
  app.get('/alive', async () => 'yes')
  const chatOf = chat => app.ws.chat({ workflow: 'w', appId: 'a', chatId: chat, userId: chat })
  const address = await app.listen({ port: 0, host: '127.0.0.1' })
  return {
    port: Number(new URL(address).port),
    broadcast: message => app.ws.broadcast(message),
    sendToUser: (user, message) => app.ws.sendToUser(user, message),
    sendToChat: (chat, message) => chatOf(chat).send(message),
    sendToChatOf: (userId, chatId, message) => app.ws.chat({ workflow: 'w', appId: 'a', chatId, userId }).send(message),
    sendToBoard: (id, message) => app.ws.channel('board', id).send(message),
    sender: chat => {
      const handle = chatOf(chat)
      return text => handle.send({ type: 'token', data: { text } })
    },
    answer: chat => {
      const run = chatOf(chat).start(run => run.finished)
      const reply = run.reply()
      return text => reply.write(text)
    },
    /** Starts an answer, whose abort signal calls `onAbort` when a client stops it. */
    stoppable: (chat, onAbort) => { chatOf(chat).start(run => run.finished).signal.addEventListener('abort', onAbort) },
    counters: () => app.ws.stats()
  }
}

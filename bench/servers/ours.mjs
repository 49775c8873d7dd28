import Fastify from 'fastify'
import { redisBroker } from '../../dist/lib/brokers/redis.js'
import realtime from '../../dist/lib/index.js'

/** The package with its defaults, but for who may connect; as one of several nodes with the URL of a `redis`. */
export default async function ({ redis, ...options } = {}) {
  const app = Fastify()
  await app.register(realtime, {
    authenticate: request => ({ userId: request.params.user_id }),
    ...redis && { broker: redisBroker({ url: redis }) },
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
    answer: chat => {
      const run = chatOf(chat).start(run => run.finished)
      const reply = run.reply()
      return text => reply.write(text)
    },
    counters: () => app.ws.stats()
  }
}

import Fastify from 'fastify'
import realtime from '../../dist/lib/index.js'

/** The package with its defaults, but for who may connect. */
export default async function (options = {}) {
  const app = Fastify()
  await app.register(realtime, {
    authenticate: request => ({ userId: request.params.user_id }),
    ...options,
    limits: { connectionsPerUser: 20_000, connections: 20_000, ...options.limits }
  })
  app.get('/alive', async () => 'yes')
  const address = await app.listen({ port: 0, host: '127.0.0.1' })
  return {
    port: Number(new URL(address).port),
    broadcast: message => app.ws.broadcast(message),
    sendToUser: (user, message) => app.ws.sendToUser(user, message),
    sendToChat: (chat, message) => app.ws.chat({ workflow: 'w', appId: 'a', chatId: chat, userId: chat }).send(message),
    counters: () => app.ws.stats()
  }
}

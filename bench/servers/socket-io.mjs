import { createAdapter } from '@socket.io/redis-streams-adapter'
import Fastify from 'fastify'
import { Redis } from 'ioredis'
import { Server } from 'socket.io'

/** Socket.IO on the same HTTP server: websocket only, one room per user, chat and board. With the URL of a `redis`: one of many nodes. */
export default async function ({ compression = false, redis } = {}) {
  const app = Fastify()
  app.get('/alive', async () => 'yes')
  const io = new Server(app.server, { transports: ['websocket'], perMessageDeflate: compression && { threshold: 1024 }, serveClient: false, ...redis && { adapter: createAdapter(new Redis(redis)) } })
  io.on('connection', socket => {
    const { user, chat, chats, boards } = socket.handshake.query
    if (user !== undefined) socket.join(`user:${user}`)
    if (chat !== undefined) socket.join(`chat:${chat}`)
    if (user !== undefined) socket.join('everyone')
    if (chats !== undefined) socket.join(chats.split(',').map(id => `chat:${user}/${id}`))
    if (boards !== undefined) socket.join(boards.split(',').map(id => `board:${id}`))
  })
  const stamped = message => ({ ...message, timestamp: new Date().toISOString() })
  const address = await app.listen({ port: 0, host: '127.0.0.1' })
  return {
    port: Number(new URL(address).port),
    broadcast: message => io.to('everyone').emit('message', stamped(message)),
    sendToUser: (user, message) => io.to(`user:${user}`).emit('message', stamped(message)),
    sendToChat: (chat, message) => io.to(`chat:${chat}`).emit('message', stamped(message)),
    sendToChatOf: (user, chat, message) => io.to(`chat:${user}/${chat}`).emit('message', stamped(message)),
    sendToBoard: (id, message) => io.to(`board:${id}`).emit('message', stamped(message)),
    sender: chat => text => io.to(`chat:${chat}`).emit('message', stamped({ type: 'token', data: { text } })),
    answer: chat => text => io.to(`chat:${chat}`).emit('message', stamped({ type: 'chat_delta', data: { text } })),
    counters: () => ({ connections: io.engine.clientsCount })
  }
}

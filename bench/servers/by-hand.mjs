import websocket from '@fastify/websocket'
import Fastify from 'fastify'

/** What one writes with @fastify/websocket: sets of sockets, stringify once, send in a loop. */
export default async function ({ compression = false } = {}) {
  const app = Fastify()
  const sockets = new Set()
  const byKey = new Map()
  const add = (key, socket) => {
    const group = byKey.get(key) ?? new Set()
    byKey.set(key, group.add(socket))
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => {
      sockets.delete(socket)
      group.delete(socket)
    })
  }
  const send = (group, message) => {
    const text = JSON.stringify({ ...message, timestamp: new Date().toISOString() })
    for (const socket of group ?? []) if (socket.readyState === 1) socket.send(text)
  }
  await app.register(websocket, { options: { perMessageDeflate: compression && { threshold: 1024 } } })
  app.get('/ws/notifications/:user_id', { websocket: true }, (socket, request) => add(request.params.user_id, socket))
  const answers = new Map()
  app.get('/ws/:workflow/:app_id/:chat_id/:user_id', { websocket: true }, (socket, request) => {
    const chat = request.params.chat_id
    add(chat, socket)
    socket.on('message', data => { if (JSON.parse(data).type === 'chat_cancel') answers.get(chat)?.abort() })
  })
  app.get('/alive', async () => 'yes')
  const address = await app.listen({ port: 0, host: '127.0.0.1' })
  return {
    port: Number(new URL(address).port),
    broadcast: message => send(sockets, message),
    sendToUser: (user, message) => send(byKey.get(user), message),
    sendToChat: (chat, message) => send(byKey.get(chat), message),
    sender: chat => text => send(byKey.get(chat), { type: 'token', data: { text } }),
    answer: chat => text => send(byKey.get(chat), { type: 'chat_delta', data: { text } }),
    stoppable: (chat, onAbort) => {
      const answer = new AbortController()
      answer.signal.addEventListener('abort', onAbort)
      answers.set(chat, answer)
    },
    counters: () => ({ connections: sockets.size })
  }
}

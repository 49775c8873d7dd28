import type { Socket } from 'node:net'
import type { FastifyServerOptions } from 'fastify'
import type { RealtimeOptions, Run, UserMessage } from '../../lib/index.js'
import { start } from '../harness.js'

interface Scope {
  teardown (action: () => unknown): void
}

/** Starts an app whose chats have a handler. Returns their messages and runs, and a function that cuts all connections. */
export async function startAgent (
  t: Scope, onMessage: (run: Run, message: UserMessage) => unknown, options: RealtimeOptions = {}, server: FastifyServerOptions = {}
) {
  const messages: UserMessage[] = []
  const runs: Run[] = []
  const started = await start(t, {
    ...options,
    chat: {
      onMessage: (run, message) => {
        runs.push(run)
        messages.push(message)
        return onMessage(run, message)
      },
      ...options.chat
    }
  }, server)
  const sockets = new Set<Socket>()
  started.app.server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  return { ...started, messages, runs, cut: () => { for (const socket of sockets) socket.destroy() } }
}

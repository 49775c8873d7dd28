import { randomUUID } from 'node:crypto'
import type { Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'
import type { Chat, ChatAddress, RealtimeOptions } from '../../lib/index.js'
import { start } from '../harness.js'

interface Scope {
  teardown (action: () => unknown): void
}

export interface UserMessage {
  id: string
  content: string
  userId: string
  data: Record<string, unknown>
}

export interface AgentRun {
  readonly id: string
  readonly signal: AbortSignal
  send (message: { type: string, data?: Record<string, unknown> }): unknown
  reply (options?: { agent?: string }): { id: string, write (text: string): void, end (): Promise<void> }
  tool<T> (name: string, args: unknown, action: (tools: { progress (value: unknown): void }) => Promise<T>): Promise<T>
  ask (question: { prompt: string, schema?: object }): Promise<unknown>
}

type Handler = (run: AgentRun, message: UserMessage) => Promise<void>

/** As much of the chat's server as the transport needs, each envelope as it is written down in the protocol. */
export async function startAgent (t: Scope, onMessage: Handler, options: RealtimeOptions = {}) {
  const seen = new Set<string>()
  const cancels: unknown[] = []
  const messages: UserMessage[] = []
  const runs = new Map<string, { ref: string, cancel (): void }>()
  const questions = new Map<string, (value: unknown) => Promise<void>>()

  async function run (chat: Chat, message: UserMessage) {
    const runId = randomUUID()
    const ref = message.id
    const ending = new AbortController()
    runs.set(runId, { ref, cancel: () => ending.abort() })
    const send = (type: string, data: Record<string, unknown>) => chat.send({ type, data: { ...data, run_id: runId } } as never)
    const open = new Map<string, () => Promise<unknown>>()
    await send('run_started', { ref })
    const run: AgentRun = {
      id: runId,
      signal: ending.signal,
      send: ({ type, data = {} }) => send(type, data),
      reply ({ agent } = {}) {
        const id = randomUUID()
        let text = ''
        const finish = (status: string) => {
          open.delete(id)
          return send('chat_message', { message_id: id, agent, role: 'assistant', content: text, status })
        }
        open.set(id, () => finish(ending.signal.aborted ? 'cancelled' : 'complete'))
        return {
          id,
          write (more) {
            send('chat_delta', { message_id: id, agent, at: text.length, text: more })
            text += more
          },
          async end () { await finish('complete') }
        }
      },
      async tool (name, args, action) {
        const callId = randomUUID()
        await send('tool_call', { call_id: callId, name, args })
        const progress = (progress: unknown) => send('tool_progress', { call_id: callId, progress })
        try {
          const output = await action({ progress })
          await send('tool_output', { call_id: callId, name, status: 'complete', output })
          return output
        } catch (error) {
          await send('tool_output', { call_id: callId, name, status: 'error', error: { code: 'tool_failed', message: (error as Error).message } })
          throw error
        }
      },
      async ask (question) {
        const id = randomUUID()
        await send('input_request', { request_id: id, ...question })
        return new Promise(resolve => questions.set(id, async value => {
          questions.delete(id)
          await send('input_closed', { request_id: id, reason: 'answered', value, user_id: message.userId })
          resolve(value)
        }))
      }
    }
    let error: { code: string, message: string } | undefined
    try {
      await onMessage(run, message)
    } catch (thrown) {
      error = { code: 'run_failed', message: (thrown as Error).message }
    }
    for (const close of open.values()) await close()
    runs.delete(runId)
    await send('run_finished', { ref, status: ending.signal.aborted ? 'cancelled' : error === undefined ? 'complete' : 'error', error })
  }

  const started = await start(t, {
    ...options,
    onMessage: {
      async chat_message ({ data }, { target }) {
        const { app } = started
        const { message_id: id, content, ...rest } = data as Record<string, unknown> & { message_id: string, content: string }
        if (content === 'busy') throw new Error('too busy')
        if (target.kind !== 'chat' || seen.has(id)) return
        seen.add(id)
        const message = { id, content, userId: target.userId, data: rest }
        messages.push(message)
        const chat = app.ws.chat(target)
        await chat.send({ type: 'chat_message', data: { message_id: id, role: 'user', content, status: 'complete', user_id: target.userId } })
        run(chat, message)
      },
      async chat_cancel ({ data }) {
        const { run_id: id, ref } = data as { run_id?: string, ref?: string }
        cancels.push(data)
        for (const [runId, run] of runs) if (runId === id || run.ref === ref) run.cancel()
      },
      async input_response ({ data }) {
        const { request_id: id, value } = data as { request_id: string, value: unknown }
        await questions.get(id)?.(value)
      },
      ...options.onMessage
    }
  })
  const sockets = new Set<Socket>()
  started.app.server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  return { ...started, messages, cancels, cut: () => { for (const socket of sockets) socket.destroy() } }
}

export type Agent = Awaited<ReturnType<typeof startAgent>>

export function chatOf (app: FastifyInstance, chatId = 'c1', address: Partial<ChatAddress> = {}): Chat {
  return app.ws.chat({ workflow: 'support', appId: 'shop', chatId, userId: 'ada', ...address })
}

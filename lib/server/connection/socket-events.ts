import type { WebSocket } from 'ws'

/** Listener for the events of a socket. */
export interface SocketListener {
  onMessage (data: Buffer, isBinary: boolean): void
  onPing (): void
  onPong (payload: string): void
  onError (error: Error & { code?: string }): void
  onClose (code: number, reason: string): void
}

const listener = Symbol('fastify-realtime connection')

type Owned = WebSocket & { [listener]?: SocketListener }

function listenerOf (socket: Owned): SocketListener {
  return socket[listener]!
}

// Shared by all sockets, because a closure per event and connection takes memory.
function message (this: WebSocket, data: Buffer, isBinary: boolean): void { listenerOf(this).onMessage(data, isBinary) }
function ping (this: WebSocket): void { listenerOf(this).onPing() }
function pong (this: WebSocket, data: Buffer): void { listenerOf(this).onPong(data.toString('latin1')) }
function error (this: WebSocket, error: Error): void { listenerOf(this).onError(error) }
function close (this: WebSocket, code: number, reason: Buffer): void { listenerOf(this).onClose(code, reason.toString()) }

/** Calls `owner` for the events of `socket`. */
export function listen (socket: WebSocket, owner: SocketListener): void {
  const owned: Owned = socket
  owned[listener] = owner
  socket.on('message', message)
  socket.on('ping', ping)
  socket.on('pong', pong)
  socket.on('error', error)
  socket.on('close', close)
}

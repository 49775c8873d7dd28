import type { WebSocket } from 'ws'
import type { CloseCode } from '../../protocol/close-codes.js'
import type { Timers } from '../../time/timers.js'

/** Maximum number of frames that a client may still have on the way when it is closed. */
const messagesOnTheWay = 64

/** Time during which a client that keeps sending can read its close code, in ms. */
const lastWords = 1_000

/**
 * Closes the socket of a client that was refused or broke a rule. A client that answers the Close is gone at once. A client that keeps
 * sending is no longer read, and later terminated: an immediate reset would destroy the Close before it is read.
 */
export function dismiss (socket: WebSocket, { code }: CloseCode, timers: Timers): void {
  socket.close(code)
  let left = messagesOnTheWay
  const count = () => {
    if (--left !== 0) return
    socket.pause()
    timers.after(lastWords, () => socket.terminate())
  }
  socket.on('message', count)
  socket.on('ping', count)
  socket.on('pong', count)
}

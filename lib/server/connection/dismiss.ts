import type { WebSocket } from 'ws'
import type { CloseCode } from '../../protocol/close-codes.js'
import type { Timers } from '../../time/timers.js'

/** What a client may still have on its way when it is told to go. */
const messagesOnTheWay = 64

/** How long a client that goes on sending can read why it was told to go, in milliseconds. */
const lastWords = 1_000

/**
 * Closes the socket of a client that was refused or broke the rules. One that answers is gone at once; one that goes on
 * sending is no longer read, and terminated: a reset right away would destroy the Close before it is read.
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

import { EventEmitter } from 'node:events'
import t from 'tap'
import type { WebSocket } from 'ws'
import { listen } from '../../../lib/server/connection/socket-events.js'

t.test('the events of a socket reach its own listener, and all sockets share the same functions', async t => {
  const sockets = ['a', 'b'].map(name => {
    const socket = new EventEmitter()
    const calls: unknown[][] = []
    const note = (what: string) => (...parameters: unknown[]) => { calls.push([name, what, ...parameters]) }
    listen(socket as unknown as WebSocket, {
      onMessage: note('message'), onPing: note('ping'), onPong: note('pong'), onError: note('error'), onClose: note('close')
    })
    return { socket, calls }
  })
  const [a, b] = sockets
  const frame = Buffer.from('x')
  const error = new Error('no')
  a.socket.emit('message', frame, true)
  a.socket.emit('ping', frame)
  a.socket.emit('pong', frame)
  a.socket.emit('error', error)
  a.socket.emit('close', 4401, Buffer.from('why'))
  t.strictSame(a.calls, [['a', 'message', frame, true], ['a', 'ping'], ['a', 'pong', 'x'], ['a', 'error', error], ['a', 'close', 4401, 'why']])
  t.strictSame(b.calls, [])
  t.strictSame(a.socket.listeners('message'), b.socket.listeners('message'))
})

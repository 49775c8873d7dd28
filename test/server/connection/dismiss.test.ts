import { EventEmitter } from 'node:events'
import { mock } from 'node:test'
import t from 'tap'
import type { WebSocket } from 'ws'
import { closeCodes } from '../../../lib/index.js'
import { dismiss } from '../../../lib/server/connection/dismiss.js'
import { Timers } from '../../../lib/time/timers.js'

class FakeSocket extends EventEmitter {
  calls: Array<string | number> = []
  close (code: number) { this.calls.push(code) }
  pause () { this.calls.push('pause') }
  terminate () { this.calls.push('terminate') }
}

t.test('a dismissed client that keeps sending is no longer read, and its socket is terminated after 1 s', async t => {
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  const socket = new FakeSocket()
  dismiss(socket as unknown as WebSocket, closeCodes.TOO_MANY, new Timers())
  for (let n = 0; n < 63; n++) socket.emit(['message', 'ping', 'pong'][n % 3])
  t.strictSame(socket.calls, [4429])
  socket.emit('message')
  t.strictSame(socket.calls, [4429, 'pause'])
  mock.timers.tick(1_000)
  t.strictSame(socket.calls, [4429, 'pause', 'terminate'])
})

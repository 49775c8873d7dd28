import t from 'tap'
import { listening } from '../../lib/adapters/socket.js'
import { FakeSocket } from '../client/fake-socket.js'

function listen () {
  FakeSocket.made = []
  const events: string[] = []
  const Listening = listening(FakeSocket, {
    onConnected: epoch => events.push(`connected ${epoch}`),
    onReplayed: () => events.push('replayed')
  })
  const socket = new Listening('ws://a.example/', ['p'])
  socket.onmessage = ({ data }) => events.push(JSON.parse(data).type)
  const ack = (position: string, replayed: number) => FakeSocket.last.ack({ position, replayed })
  return { socket, events, ack, receive: (frame: object) => FakeSocket.last.receive(frame), sent: () => FakeSocket.last.sent.length }
}

t.test('a listening WebSocket forwards all calls and events', async t => {
  const { socket, events, receive } = listen()
  t.match(FakeSocket.last, { url: 'ws://a.example/', protocols: ['p'] })
  const closes: unknown[] = []
  socket.onclose = ({ code }) => closes.push(code)
  socket.onerror = error => closes.push(error)
  socket.send('{"type":"x"}')
  t.strictSame(FakeSocket.last.sent, [{ type: 'x' }])
  receive({ type: 'y' })
  t.strictSame(events, ['y'])
  FakeSocket.last.onerror!('an error')
  FakeSocket.last.lose(1006)
  socket.close()
  t.equal(FakeSocket.last.isClosed, true)
  t.strictSame(closes, ['an error', 1006])
  socket.onmessage = null
  receive({ type: 'z' })
  FakeSocket.last.onmessage!({ data: 'no JSON' })
})

t.test('without replayed frames the replay ends with the ack', async t => {
  const { events, ack, sent } = listen()
  ack('c.e.7', 0)
  t.strictSame(events, ['connection_ack', 'connected e', 'replayed'])
  t.equal(sent(), 0)
})

t.test('the replay ends with the last of the frames that the ack announced', async t => {
  const { events, ack, receive } = listen()
  ack('c.e.7', 2)
  receive({ type: 'one', id: 'c.e.8' })
  receive({ type: 'error' })
  receive({ type: 'merged', id: 'c.e.10' })
  receive({ type: 'live', id: 'c.e.11' })
  t.strictSame(events, ['connection_ack', 'connected e', 'one', 'error', 'merged', 'replayed', 'live'])
})

t.test('the replay ends when a ping is answered without a frame in between', async t => {
  const { events, ack, receive, sent } = listen()
  ack('c.e.7', 3)
  t.equal(sent(), 1)
  receive({ type: 'one', id: 'c.e.8' })
  receive({ type: 'pong' })
  t.equal(sent(), 2)
  t.notOk(events.includes('replayed'))
  receive({ type: 'pong' })
  t.equal(events.at(-1), 'replayed')
  receive({ type: 'pong' })
  t.equal(sent(), 2)
  t.equal(events.filter(event => event === 'replayed').length, 1)
})

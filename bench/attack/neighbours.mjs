// Users who do nothing unusual: each sends a ping five times a second and notes how long the answer takes.
import '../report-failure.mjs'
import { once } from 'node:events'
import { WebSocket } from 'ws'

const [port, users] = process.argv.slice(2).map(Number)
const every = 200

let times = []
let unanswered = 0
let closed = 0

async function join (n) {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/ws/notifications/neighbour${n}`)
  const sentAt = new Map()
  socket.on('message', data => {
    const { type, ref } = JSON.parse(data)
    if (type !== 'pong') return
    times.push(performance.now() - sentAt.get(ref))
    unanswered--
    sentAt.delete(ref)
  })
  socket.on('close', () => { closed++ })
  await once(socket, 'open')
  let ref = 0
  setTimeout(() => setInterval(() => {
    sentAt.set(++ref, performance.now())
    unanswered++
    socket.send(JSON.stringify({ type: 'ping', ref }))
  }, every), Math.random() * every)
}

const calls = {
  /** Round trips since this was asked the last time, in ms. */
  state () {
    const sorted = times.sort((a, b) => a - b)
    times = []
    const at = share => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]
    return { samples: sorted.length, p50: at(0.5), p99: at(0.99), most: sorted.at(-1), unanswered, closed }
  }
}

process.on('message', ({ call }) => process.send({ result: calls[call]() }))
process.on('disconnect', () => process.exit())
for (let n = 0; n < users; n++) await join(n)
process.send({ ready: true })

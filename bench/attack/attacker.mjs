// One user who does all that one kind of abuse can: on ten connections, within their limits, and back as soon as one is closed.
import '../report-failure.mjs'
import { WebSocket } from 'ws'

const [port, mode] = process.argv.slice(2)
const connections = 10
/** A message of each connection this often, in ms: what `limits.rate` allows. */
const every = 50

const json = (type, data, ref) => JSON.stringify({ type, ref, data })
const keys = count => Object.fromEntries(Array.from({ length: count }, (_, n) => [`key${n}`, n]))
let sent = 0
const id = () => `${process.pid}-${++sent}`

function deep (depth) {
  let value = keys(10)
  for (let n = 0; n < depth; n++) value = { a: value, b: [n] }
  return value
}

const notifications = () => '/ws/notifications/attacker'
const ownChat = n => `/ws/w/a/chat${n}/attacker`
const tooMany = json('list', keys(4_500))
const many = json('list', keys(900))
const nested = json('list', deep(60))

/** What a connection sends each time, and where it connects to; with `brief` it closes after its first message. */
const modes = {
  'too many keys': { path: notifications, message: () => tooMany },
  '900 keys': { path: notifications, message: () => many },
  'deep nesting': { path: notifications, message: () => nested },
  '64 KiB of text': { path: ownChat, message: () => json('chat_message', { message_id: id(), content: 'x'.repeat(64_000) }) },
  'two-byte text': { path: ownChat, message: () => json('chat_message', { message_id: id(), content: 'ж'.repeat(31_000) }) },
  pings: { path: notifications, message: () => '{"type":"ping"}', control: true },
  'new refs': { path: notifications, message: () => json('vote', {}, id()) },
  cancels: { path: ownChat, message: () => json('chat_cancel', { ref: id() }, id()) },
  'new chats that wait': { path: () => `/ws/w/a/${id()}/attacker`, message: () => json('chat_message', { message_id: id(), content: 'wait' }), brief: true },
  history: { path: ownChat, message: () => json('chat_history') },
  reconnecting: { path: ownChat, message: () => json('vote', {}, id()), brief: true }
}
const all = Object.values(modes)

const state = { connects: 0, sent: 0, codes: {} }

function attack (n) {
  const { path, message, control, brief } = mode === 'all at once' ? all[(n + state.connects) % all.length] : modes[mode]
  state.connects++
  const socket = new WebSocket(`ws://127.0.0.1:${port}${path(n)}`)
  let timer
  socket.on('open', () => {
    const send = () => {
      if (socket.bufferedAmount > 1e6) return
      state.sent++
      socket.send(message())
      if (control) socket.ping()
      if (brief) socket.close()
    }
    send()
    if (!brief) timer = setInterval(send, every)
  })
  socket.on('error', () => {})
  socket.on('close', code => {
    clearInterval(timer)
    state.codes[code] = (state.codes[code] ?? 0) + 1
    setImmediate(attack, n)
  })
}

process.on('message', () => process.send({ result: state }))
process.on('disconnect', () => process.exit())
for (let n = 0; n < connections; n++) attack(n)
process.send({ ready: true })

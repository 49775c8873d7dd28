// Many cheap clients in one process: raw sockets with a handshake of their own, which count frames but do not decode them.
import './report-failure.mjs'
import net from 'node:net'

const key = 'dGhlIHNhbXBsZSBub25jZQ=='
/** Returns a frame with a mask of zeros. */
function frame (opcode, body) {
  const head = body.length < 126 ? [0x80 | body.length] : [0x80 | 126, body.length >> 8, body.length & 0xff]
  return Buffer.concat([Buffer.from([0x80 | opcode, ...head, 0, 0, 0, 0]), body])
}
const say = text => frame(0x01, Buffer.from(text))
const pong = payload => frame(0x0a, payload)

let received = 0
let bytes = 0
let recovered = 0
let expected = Infinity
let clients = []
let latencies = []
/** Number of latencies that a caller waits for, and the function that informs it. */
let awaitedTokens = Infinity
let onTokens = () => {}
/** Number of received frames after which the client reports them. */
let tellEvery = Infinity
let told = 0

class Client {
  ready
  position = ''
  /** Positions in the channels that it has subscribed to by frame, by name. */
  channels = {}
  #toSubscribe
  #socket
  #kind
  #isTimed
  #onReady
  #isUpgraded = false
  /** Bytes of the current frame that have not arrived yet. */
  #left = 0
  #rest = undefined
  #frames = 0

  /** `subscribe`: channels to subscribe to by frame, as in the `subscribe` of the protocol. The client is ready when all are. */
  constructor ({ port, kind, path, isTimed = false, extensions, subscribe }) {
    this.#toSubscribe = subscribe
    this.#kind = kind
    this.#isTimed = isTimed
    this.ready = new Promise(resolve => { this.#onReady = resolve })
    this.#socket = net.connect(port, '127.0.0.1', () => this.#socket.write(
      `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
      `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n${extensions ? `Sec-WebSocket-Extensions: ${extensions}\r\n` : ''}\r\n`))
    this.#socket.on('data', chunk => this.#onData(chunk))
    this.#socket.on('error', () => {})
  }

  pause () { this.#socket.pause() }
  send (text) { this.#socket.write(say(text)) }
  destroy () { this.#socket.destroy() }
  /** Ends the connection as a page does that is left: with the code 1000. */
  close () { this.#socket.end(frame(0x08, Buffer.from([0x03, 0xe8]))) }

  #onData (chunk) {
    if (!this.#isUpgraded) {
      const end = chunk.indexOf('\r\n\r\n')
      if (end < 0) throw new Error('the head came in pieces')
      if (!chunk.subarray(0, 12).equals(Buffer.from('HTTP/1.1 101'))) throw new Error(chunk.toString())
      this.#isUpgraded = true
      if (this.#kind === 'by-hand') this.#onReady()
      chunk = chunk.subarray(end + 4)
    }
    bytes += chunk.length
    this.#walk(chunk)
    if (received - told >= tellEvery) process.send({ told: told = received })
    if (received >= expected) {
      expected = Infinity
      process.send({ delivered: true })
    }
  }

  #walk (chunk) {
    if (this.#rest !== undefined) {
      chunk = Buffer.concat([this.#rest, chunk])
      this.#rest = undefined
    }
    let at = 0
    while (at < chunk.length) {
      if (this.#left > 0) {
        const step = Math.min(this.#left, chunk.length - at)
        this.#left -= step
        at += step
        continue
      }
      const short = chunk.length - at < 2 ? 127 : chunk[at + 1]
      const header = short === 126 ? 4 : short === 127 ? 10 : 2
      if (chunk.length - at < header) {
        this.#rest = chunk.subarray(at)
        return
      }
      const length = short === 126 ? chunk.readUInt16BE(at + 2) : short === 127 ? Number(chunk.readBigUInt64BE(at + 2)) : short
      // Control frames do not count. Pings are answered, because a server ends connections that do not answer.
      if (chunk[at] & 0x08) {
        if (chunk.length - at < header + length) {
          this.#rest = chunk.subarray(at)
          return
        }
        at += header + length
        if ((chunk[at - header - length] & 0x0f) === 0x09) this.#socket.write(pong(chunk.subarray(at - length, at)))
        continue
      }
      // Reads the first two frames, and on a timed client all frames. They are small, so it waits for the whole frame.
      if (this.#frames < 2 || this.#isTimed || this.#toSubscribe !== undefined) {
        if (chunk.length - at < header + length) {
          this.#rest = chunk.subarray(at)
          return
        }
        this.#read(chunk.toString('latin1', at + header, at + header + length))
      } else if (length > 2) received++
      else if (this.#kind === 'socket-io') this.#socket.write(say('3'))
      this.#frames++
      at += header
      this.#left = length
    }
  }

  #read (text) {
    if (this.#kind === 'socket-io' && this.#frames === 0) return this.#socket.write(say('40'))
    if (this.#kind === 'socket-io' && this.#frames === 1) return this.#onReady()
    if (this.#kind === 'ours' && this.#frames === 0) {
      this.position = /"position":"([^"]*)"/.exec(text)?.[1]
      if (this.position === undefined) throw new Error(`no ack but ${JSON.stringify(text)}`)
      if (text.includes('"recovered":true')) recovered++
      if (this.#toSubscribe === undefined) return this.#onReady()
      return this.#socket.write(say(JSON.stringify({ type: 'subscribe', ref: 1, data: { channels: this.#toSubscribe } })))
    }
    if (this.#toSubscribe !== undefined) return this.#readSubscribed(JSON.parse(text))
    if (this.#kind === 'socket-io' && text === '2') return this.#socket.write(say('3'))
    received++
    if (!this.#isTimed) return
    const now = Number(process.hrtime.bigint()) / 1e6
    // One frame may contain several tokens.
    for (const [, field, mark] of text.matchAll(/"sentAt":([\d.]+)|@([\d.]+)@/g)) latencies.push(now - Number(field ?? mark))
    if (latencies.length >= awaitedTokens) onTokens()
  }

  /** Reads the answers to `subscribe`, and the replayed frames between them. */
  #readSubscribed ({ type, channel, data }) {
    if (type === 'unsubscribed') throw new Error(`not subscribed to ${channel}: ${data.reason}`)
    if (type === 'subscribed') {
      this.channels[channel] = data.position
      if (data.recovered === true) recovered++
    } else if (type === 'ack') {
      this.#toSubscribe = undefined
      this.#onReady()
    } else received++
  }
}

/** Resolves when `count` tokens have arrived since the last 'forget', or after 60 s with fewer. */
async function tokens (count) {
  if (latencies.length >= count) return
  let timer
  await new Promise(resolve => {
    awaitedTokens = count
    onTokens = resolve
    timer = setTimeout(resolve, 60_000)
  })
  clearTimeout(timer)
  awaitedTokens = Infinity
}

const sleep = ms => new Promise(resolve => setTimeout(resolve, ms))

const atATime = 100

async function connect (list) {
  for (let n = 0; n < list.length; n += atATime) {
    const some = list.slice(n, n + atATime).map(options => new Client(options))
    clients.push(...some)
    await Promise.all(some.map(client => client.ready))
  }
}

/**
 * Lets clients enter a channel, one after the other in half of the time, and then leave. `updates`: messages that each of the first
 * `updaters` clients sends in turn, one every `every` ms, from its entry until it leaves.
 */
async function attend ({ list, seconds, updaters, updates, every }) {
  const step = seconds * 1_000 / 2 / list.length
  const start = performance.now()
  const at = n => sleep(Math.max(0, start + n * step - performance.now()))
  const entered = []
  for (const [n, options] of list.entries()) {
    await at(n)
    const client = new Client(options)
    await client.ready
    let sent = 0
    const timer = n < updaters ? setInterval(() => client.send(updates[sent++ % updates.length]), every) : undefined
    entered.push({ client, timer })
  }
  for (const [n, { client, timer }] of entered.entries()) {
    await at(list.length + n)
    clearInterval(timer)
    client.close()
  }
}

/** Lets the last `count` clients stop their answers, one every `every` ms. Returns the times. */
async function stop ({ count, every }) {
  const times = []
  for (const client of clients.slice(-count)) {
    await sleep(every)
    times.push(Number(process.hrtime.bigint()) / 1e6)
    client.send('{"type":"chat_cancel","ref":"stop"}')
  }
  return times
}

function percentile (values, share) {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]
}

process.on('message', async ({ call, list, expect, every, count, args }) => {
  if (call === 'expect') {
    expected = expect
    if (received >= expected) {
      expected = Infinity
      process.send({ delivered: true })
    }
    return
  }
  if (call === 'connect') await connect(list)
  if (call === 'attend') await attend({ list, ...args })
  if (call === 'stop') return process.send({ result: await stop(args) })
  if (call === 'tell') tellEvery = every
  if (call === 'tokens') await tokens(count)
  if (call === 'forget') latencies = []
  if (call === 'pause') for (const client of clients) client.pause()
  if (call === 'cut') {
    const positions = clients.map(({ position, channels }) => ({ position, channels }))
    for (const client of clients) client.destroy()
    clients = []
    received = 0
    return process.send({ result: positions })
  }
  process.send({
    result: {
      cpu: process.cpuUsage(),
      received,
      bytes,
      recovered,
      latencyP50: percentile(latencies, 0.5),
      latencyP99: percentile(latencies, 0.99),
      samples: latencies.length
    }
  })
})
process.on('disconnect', () => process.exit())

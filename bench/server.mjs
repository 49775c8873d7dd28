// One server in a process of its own. Executes the jobs of workloads.mjs and measures itself meanwhile.
import './report-failure.mjs'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { clusterJobs } from './cluster-jobs.mjs'

const [name, options] = process.argv.slice(2)
const { default: start } = await import(`./servers/${name}.mjs`)
const server = await start(JSON.parse(options ?? '{}'))

/** Message whose envelope has about 200 bytes as JSON. */
const envelope = { type: 'notification', data: { title: 'Order shipped', message: 'x'.repeat(86), id: 123456 } }
const large = { type: 'notification', data: { title: 'Report', rows: Array.from({ length: 24 }, (_, n) => ({ id: n, name: `row number ${n}`, state: n % 3 ? 'open' : 'done', amount: n * 17.25 })) } }
const token = n => ({ type: 'token', data: { text: `token ${n} `.padEnd(40, '.') } })

const turn = () => new Promise(resolve => setImmediate(resolve))
/** Time in ms, on a clock that all processes of this machine share. */
const clock = () => Number(process.hrtime.bigint()) / 1e6
const sleep = ms => new Promise(resolve => setTimeout(resolve, ms))

/** Waits until the clients have received `frames` more frames. */
let expected = 0
let onDelivered = () => {}
const delivered = frames => new Promise(resolve => {
  onDelivered = resolve
  process.send({ expect: expected += frames })
})

/** Functions that send a text to a chat, one per chat, through `sender` or `answer` of the server. Created once, like in an app. */
const writers = new Map()
function writersOf (through, chats) {
  if (!writers.has(through)) writers.set(through, Array.from({ length: chats }, (_, n) => server[through](`c${n}`)))
  return writers.get(through)
}

/** Times at which the answers of W18 were aborted, by their numbers. */
const aborted = []

const jobs = {
  /** Publishes `perTurn` broadcasts in one turn to `clients`, `rounds` times. */
  async broadcast ({ rounds, perTurn, clients, isLarge = false }) {
    for (let round = 0; round < rounds; round++) {
      for (let n = 0; n < perTurn; n++) server.broadcast(isLarge ? large : envelope)
      await delivered(perTurn * clients)
    }
    return rounds * perTurn * clients
  },
  /** Sends messages to random users with `devices` connections each, one message per turn. */
  async unicast ({ rounds, perRound, users, devices }) {
    let seed = 1
    for (let round = 0; round < rounds; round++) {
      for (let n = 0; n < perRound; n++) {
        seed = (seed * 48271) % 2147483647
        server.sendToUser(`u${seed % users}`, envelope)
        await turn()
      }
      await delivered(perRound * devices)
    }
    return rounds * perRound * devices
  },
  /** Sends a message to each channel of W11's pages: to all bells in one turn, then to all first chats, and so on. */
  async pages ({ pages, rounds }) {
    for (let round = 0; round < rounds; round++) {
      for (let n = 0; n < pages; n++) server.sendToUser(`u${n}`, envelope)
      await delivered(pages)
      for (const chat of ['c0', 'c1', 'c2']) {
        for (let n = 0; n < pages; n++) server.sendToChatOf(`u${n}`, chat, token(round))
        await delivered(pages)
      }
      for (let n = 0; n < 100; n++) server.sendToBoard(`b${n}`, envelope)
      await delivered(2 * pages)
    }
    return rounds * pages * 6
  },
  /** Sends messages to random boards with `each` subscribers, one message per turn. */
  async boards ({ boards, each, rounds, perRound }) {
    let seed = 1
    for (let round = 0; round < rounds; round++) {
      for (let n = 0; n < perRound; n++) {
        seed = (seed * 48271) % 2147483647
        server.sendToBoard(`b${seed % boards}`, envelope)
        await turn()
      }
      await delivered(perRound * each)
    }
    return rounds * perRound * each
  },
  /** Sends tokens to every chat, `burst` at a time. */
  async tokens ({ chats, tokens, burst }) {
    for (let n = 0; n < tokens; n += burst) {
      for (let chat = 0; chat < chats; chat++) for (let k = 0; k < burst; k++) server.sendToChat(`c${chat}`, token(n + k))
      await delivered(chats * burst)
    }
    return chats * tokens
  },
  /** Sends tokens that contain their time, while broadcasts go to many clients. */
  async mixed ({ chats, everyMs, broadcastEveryMs, seconds }) {
    const end = clock() + seconds * 1000
    let n = 0
    let at = 0
    const broadcasting = setInterval(() => server.broadcast(envelope), broadcastEveryMs)
    const streams = Array.from({ length: chats }, async () => {
      // Each token contains its scheduled time, so that a late timer counts as latency.
      let due = clock() + Math.random() * everyMs
      const chat = `c${at++}`
      for (; due < end; due += everyMs) {
        await sleep(Math.max(0, due - clock()))
        n++
        server.sendToChat(chat, { type: 'token', data: { text: 'x'.repeat(40), sentAt: due } })
      }
    })
    await Promise.all(streams)
    clearInterval(broadcasting)
    return n
  },
  /**
   * Sends tokens to all chats at a steady pace. Each contains its scheduled time. The chats take turns, evenly spread over time, and share
   * one timer. `through`: a method of the server.
   */
  async stream ({ through, chats, perSecond, burst, seconds }) {
    const write = writersOf(through, chats)
    const every = 1000 * burst / perSecond / chats
    const start = clock() + 100
    const total = Math.round(seconds * 1000 / every)
    for (let next = 0; next < total;) {
      await sleep(1)
      // At most one burst per chat and turn, so that a late server can still write.
      for (let turns = 0; turns < chats && next < total; turns++, next++) {
        const due = start + next * every
        if (due > clock()) break
        for (let k = 0; k < burst; k++) write[next % chats](`token @${due.toFixed(3)}@ `.padEnd(40, '.'))
      }
    }
    return total * burst
  },
  /** Publishes bursts of broadcasts at a pace, without waiting for their delivery. */
  async flood ({ seconds, perSecond, burst }) {
    const end = performance.now() + seconds * 1000
    let n = 0
    while (performance.now() < end) {
      for (let k = 0; k < burst; k++, n++) server.broadcast(envelope)
      await sleep(1000 * burst / perSecond)
    }
    return n
  },
  /** Sends `each` messages to each of the users, who are not connected. */
  async unheard ({ users, each }) {
    for (let n = 0; n < each; n++) {
      for (let user = 0; user < users; user++) {
        server.sendToUser(`offline${user}`, envelope)
        if (user % 100 === 0) await turn()
      }
    }
    return users * each
  },
  /** Waits until the clients have received all frames. */
  async idle () {
    await new Promise(resolve => { onDelivered = resolve })
    return 1
  }
}

const cluster = clusterJobs(server, envelope, clock)

const memory = () => {
  globalThis.gc()
  globalThis.gc()
  const { rss, heapUsed, external, arrayBuffers } = process.memoryUsage()
  return { rss, heapUsed, external, arrayBuffers }
}

process.on('message', async ({ call, job, args, told }) => {
  if (call === 'delivered') return onDelivered()
  if (call === 'told') return cluster.told(told)
  if (call === 'publish') return process.send({ result: await cluster[job](args) })
  if (call === 'memory') return process.send({ result: memory() })
  if (call === 'cpu') return process.send({ result: process.cpuUsage() })
  if (call === 'counters') return process.send({ result: server.counters() })
  if (call === 'stoppable') {
    for (let n = 0; n < args.answers; n++) server.stoppable(`s${n}`, () => { aborted[n] = clock() })
    return process.send({ result: {} })
  }
  if (call === 'aborted') return process.send({ result: aborted })
  if (call !== 'run') return
  if (args.publishBefore !== undefined) for (let n = 0; n < args.publishBefore; n++) await server.broadcast(envelope)
  globalThis.gc()
  const delay = monitorEventLoopDelay({ resolution: 1 })
  const heapBefore = process.memoryUsage().heapUsed
  const countersBefore = server.counters()
  const wall = performance.now()
  const cpu = process.cpuUsage()
  delay.enable()
  const deliveries = await jobs[job](args)
  delay.disable()
  const { user, system } = process.cpuUsage(cpu)
  process.send({
    result: {
      deliveries,
      cpu: user + system,
      wall: performance.now() - wall,
      heap: process.memoryUsage().heapUsed - heapBefore,
      delayP99: delay.percentile(99) / 1e6,
      delayMax: delay.max / 1e6,
      counters: server.counters(),
      countersBefore
    }
  })
})
process.on('disconnect', () => process.exit())
process.send({ port: server.port })

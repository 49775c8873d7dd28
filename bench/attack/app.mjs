// An app with the package's defaults and a handler of every kind, for what one user can do to the others.
import '../report-failure.mjs'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import Fastify from 'fastify'
import realtime from '../../dist/lib/index.js'

const history = Array.from({ length: 50 }, (_, n) => ({ message_id: `old${n}`, content: 'x'.repeat(1_000), role: 'user', timestamp: '2026-01-01T00:00:00.000Z' }))
const seen = { messages: 0, runs: 0 }

const app = Fastify()
await app.register(realtime, {
  authenticate: request => ({ userId: request.params.user_id }),
  onMessage: { list: () => { seen.messages++ }, vote: () => { seen.messages++ } },
  chat: {
    async onMessage (run, { content }) {
      seen.runs++
      if (content === 'wait') await new Promise(resolve => run.signal.addEventListener('abort', resolve))
      else run.reply().write(content.slice(0, 20))
    },
    loadHistory: () => history
  }
})
const address = await app.listen({ port: 0, host: '127.0.0.1' })

const delay = monitorEventLoopDelay({ resolution: 1 })
delay.enable()

const calls = {
  /** Figures since the last call; `heap` and `history` in bytes, `longest` in ms. */
  state () {
    const longest = delay.max / 1e6
    const cpu = process.cpuUsage()
    globalThis.gc()
    globalThis.gc()
    const { heapUsed, external } = process.memoryUsage()
    delay.reset()
    return { ...seen, longest, cpu: (cpu.user + cpu.system) / 1e3, heap: heapUsed + external, history: app.ws.stats().bytes }
  }
}

process.on('message', ({ call }) => process.send({ result: calls[call]() }))
process.on('disconnect', () => process.exit())
process.send({ port: Number(new URL(address).port) })

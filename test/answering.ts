import type { Run } from '../lib/index.js'
import { gate } from './waiting.js'

/** An answer that writes a number every `every` ms and calls `tell` with it, until `end()` is called. */
export function answering (every: number, tell: (n: number) => void) {
  const { opened: isOver, open: end } = gate()
  const written = { text: '', ticks: [] as number[] }
  async function onMessage (run: Run): Promise<void> {
    const reply = run.reply()
    const timer = setInterval(() => {
      const n = written.ticks.length
      written.ticks.push(n)
      written.text += `${n} `
      reply.write(`${n} `)
      tell(n)
    }, every)
    await isOver
    clearInterval(timer)
    await reply.end()
  }
  return { onMessage, written, end }
}

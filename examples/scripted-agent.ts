import { setTimeout } from 'node:timers/promises'
import { Type } from '@sinclair/typebox'
import type { PartWriter, Reply, Run } from 'fastify-realtime'
import type { Agent } from './agent.js'

export interface Script {
  /** Waits for `ms` milliseconds. Rejects when the signal aborts. */
  pause?: (ms: number, signal: AbortSignal) => Promise<unknown>
}

/** Delay between two tokens, in ms: about 30 tokens per second. */
const pace = 33

/** Time for the user's answer, in ms. */
const patience = 120_000

const Shipping = Type.Union([
  Type.Literal('express', { title: 'Express, tomorrow' }),
  Type.Literal('standard', { title: 'Standard, in three days' }),
  Type.Literal('pickup', { title: 'I pick it up' })
])

/** Answer to the question whether a tool may run, as the AI SDK has it. */
const Approval = Type.Object({ approved: Type.Boolean(), reason: Type.Optional(Type.String()) })

const plans = {
  express: { carrier: 'Courier', arrives: 'tomorrow', words: 'it leaves with the courier tonight 🚚 and is with you tomorrow before noon' },
  standard: { carrier: 'Post', arrives: 'in three days', words: 'it leaves with the post tomorrow 📦 and is with you in three days' },
  pickup: { carrier: 'None', arrives: 'at the counter', words: 'it waits for you at the counter 🏬 from ten in the morning on' }
}

interface Order {
  number: string
  items: number
  status: string
}

type Pause = (ms: number) => Promise<unknown>

/**
 * Creates an agent without a model. It thinks, uses the same tools, asks the same questions and gives the same answer each time, token by
 * token, so that a page gets every kind of part. Asked to fail, it fails in the middle of its answer.
 */
export function scriptedAgent ({ pause = (ms, signal) => setTimeout(ms, undefined, { signal }) }: Script = {}): Agent {
  return {
    name: 'a script, not a model',
    isScripted: true,
    async answer (run, { content }) {
      const rest: Pause = ms => pause(ms, run.signal)
      const reply = run.reply({ agent: 'clerk' })
      const number = /\b[A-Z]-\d{3,6}\b/.exec(content)?.[0] ?? 'A-1042'

      reply.step()
      const thoughts = reply.reasoning()
      await speak(thoughts, `This is about order ${number}. I look it up, ask how it shall be sent, and then explain.`, rest)
      await thoughts.end()
      const order = await findOrder(reply, number, rest)
      const shipping = await ask(run, order.number)

      reply.step()
      const plan = plans[shipping === 'express' && !await bookCourier(run, reply, order.number, rest) ? 'standard' : shipping]
      reply.data('shipment', { order: order.number, carrier: plan.carrier, arrives: plan.arrives }, { id: 'shipment' })
      const answer = reply.addText()
      if (/\bfail\b/i.test(content)) {
        await speak(answer, 'You asked me to fail, so I stop in the middle of', rest)
        throw new Error('the script was asked to fail')
      }
      await speak(answer, answerTo(content, order, plan.words), rest)
      reply.source({ url: 'https://example.com/delivery', title: 'Delivery times' })
      reply.source({ url: 'https://example.com/returns', title: 'Returns' })
      reply.file({ url: labelOf(order.number), media_type: 'image/svg+xml', filename: `label-${order.number}.svg` })
      await reply.end()
    }
  }
}

/** Writes a text token by token, and does not end its part. */
async function speak (part: PartWriter, text: string, rest: Pause): Promise<void> {
  for (const token of tokensOf(text)) {
    await rest(pace)
    part.write(token)
  }
}

/** Writes the input of a tool, as a model does, then reports progress, and the output. */
async function findOrder (reply: Reply, number: string, rest: Pause): Promise<Order> {
  const input = { number, include: ['items', 'shipments'] }
  const call = reply.call('find_order')
  for (const piece of JSON.stringify(input).match(/.{1,12}/g)!) {
    await rest(pace)
    call.write(piece)
  }
  await call.call(input)
  for (const [percent, step] of [[0, 'Asking the shop'], [35, 'Asking the warehouse'], [70, 'Asking the courier']] as const) {
    call.progress({ percent, step })
    await rest(500)
  }
  const order = { number, items: 3, status: 'packed' }
  await call.output(order)
  return order
}

/** Asks how to ship an order. The default, without an answer, is `standard`. */
async function ask (run: Run, number: string): Promise<keyof typeof plans> {
  return await answered(
    run.ask({ prompt: `Order ${number} is packed. How shall it come to you?`, schema: Shipping, component: 'buttons' }, { timeout: patience }), 'standard')
}

/** Books a courier, if the user approves it. Returns whether it is booked. */
async function bookCourier (run: Run, reply: Reply, number: string, rest: Pause): Promise<boolean> {
  const call = reply.call('book_courier')
  await call.call({ number, price: '9.90 EUR' })
  const question = { prompt: 'Run book_courier?', schema: Approval, component: 'tool-approval', callId: call.id }
  const { approved } = await answered(run.ask(question, { timeout: patience }), { approved: false })
  if (approved) {
    await rest(500)
    await call.output({ booking: `C-${number}` })
  } else await call.fail({ code: 'denied', message: 'the user denied the call' })
  return approved
}

/** Resolves with the answer to a question, or with a default when there is none in time. */
async function answered<T> (answer: Promise<T>, otherwise: T): Promise<T> {
  try {
    return await answer
  } catch (error) {
    if ((error as { code?: string }).code === 'RT_ERR_NO_ANSWER') return otherwise
    throw error
  }
}

function answerTo (content: string, order: Order, plan: string): string {
  return `I am the demo's scripted agent 🤖: no model is at work here, and whatever you say, I say this.

You wrote: “${shortened(content)}”

Thank you 🙏. I have looked up order ${order.number}: its ${order.items} items are packed ✅, and ${plan}.

While I am talking, try this page. Cut the connection of one device in the middle of a sentence ✂️, wait a moment, and mend it: \
the missed words appear at once, and no word is lost or repeated. Reload the page: the answer continues, because it is a log on \
the server and not a stream that ends with its socket. Open this chat in another window 🪟: the same words appear there. Press stop \
✋ on either device: the answer ends on both, and the words so far stay. Send another message meanwhile: it waits for its turn. \
Each answer is one run on the server, and a run does not need a connected page. Write “fail” to see an answer that breaks off.

To talk to a model instead, start the demo with OPENAI_BASE_URL and OPENAI_API_KEY in its environment: it then asks any server \
with the API of OpenAI's chat completions, and nothing else changes, neither on this page nor in the plugin. That is all I can say 👩‍👩‍👧‍👦🎉.`
}

/** Returns a picture of a label as a `data:` URL. */
function labelOf (number: string): string {
  const bars = [...number].flatMap((character, at) => {
    const width = 2 + character.charCodeAt(0) % 5
    return [`<rect x="${16 + at * 14}" y="14" width="${width}" height="44"/>`, `<rect x="${24 + at * 14}" y="14" width="2" height="44"/>`]
  })
  const text = `<text x="16" y="78" font-family="monospace" font-size="14">${number}</text>`
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 160 92"><rect width="160" height="92" fill="#fff"/>${bars.join('')}${text}</svg>`
  return `data:image/svg+xml,${encodeURIComponent(svg)}`
}

/** Shortens a text to `max` characters, without splitting one. */
function shortened (text: string, max = 300): string {
  let count = 0
  for (const { index } of new Intl.Segmenter().segment(text)) if (count++ === max) return `${text.slice(0, index)}…`
  return text
}

/** Splits a text into words, each with the space after it. */
function tokensOf (text: string): string[] {
  return text.match(/\S+\s*|\s+/g) ?? []
}

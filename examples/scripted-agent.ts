import { setTimeout } from 'node:timers/promises'
import { Type } from '@sinclair/typebox'
import type { Run } from 'fastify-realtime'
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

const plans = {
  express: 'it leaves with the courier tonight 🚚 and is with you tomorrow before noon',
  standard: 'it leaves with the post tomorrow 📦 and is with you in three days',
  pickup: 'it waits for you at the counter 🏬 from ten in the morning on'
}

/** Creates an agent without a model. It uses the same tool, asks the same question and gives the same answer each time, token by token. */
export function scriptedAgent ({ pause = (ms, signal) => setTimeout(ms, undefined, { signal }) }: Script = {}): Agent {
  return {
    name: 'a script, not a model',
    isScripted: true,
    async answer (run, { content }) {
      const number = /\b[A-Z]-\d{3,6}\b/.exec(content)?.[0] ?? 'A-1042'
      const order = await run.tool('find_order', { number }, async ({ progress, signal }) => {
        for (const [percent, step] of [[0, 'Asking the shop'], [35, 'Asking the warehouse'], [70, 'Asking the courier']] as const) {
          progress({ percent, step })
          await pause(500, signal)
        }
        return { number, items: 3, status: 'packed' }
      }, { agent: 'clerk' })
      const shipping = await ask(run, order.number)
      await run.stream(spoken(answerTo(content, order, shipping)), { agent: 'clerk' })

      async function * spoken (text: string) {
        for (const token of tokensOf(text)) {
          await pause(pace, run.signal)
          yield token
        }
      }
    }
  }
}

/** Asks how to ship an order. The default, without an answer, is `standard`. */
async function ask (run: Run, number: string): Promise<keyof typeof plans> {
  try {
    return await run.ask({ prompt: `Order ${number} is packed. How shall it come to you?`, schema: Shipping, component: 'buttons' }, { timeout: patience })
  } catch (error) {
    if ((error as { code?: string }).code === 'RT_ERR_NO_ANSWER') return 'standard'
    throw error
  }
}

function answerTo (content: string, order: { number: string, items: number }, shipping: keyof typeof plans): string {
  return `I am the demo's scripted agent 🤖: no model is at work here, and whatever you say, I say this.

You wrote: “${shortened(content)}”

Thank you 🙏. I have looked up order ${order.number}: its ${order.items} items are packed ✅, and ${plans[shipping]}.

While I am talking, try this page. Cut the connection of one device in the middle of a sentence ✂️, wait a moment, and mend it: \
the missed words appear at once, and no word is lost or repeated. Reload the page: the answer continues, because it is a log on \
the server and not a stream that ends with its socket. Open this chat in another window 🪟: the same words appear there. Press stop \
✋ on either device: the answer ends on both, and the words so far stay. Send another message meanwhile: it waits for its turn. \
Each answer is one run on the server, and a run does not need a connected page.

To talk to a model instead, start the demo with OPENAI_BASE_URL and OPENAI_API_KEY in its environment: it then asks any server \
with the API of OpenAI's chat completions, and nothing else changes, neither on this page nor in the plugin. That is all I can say 👩‍👩‍👧‍👦🎉.`
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

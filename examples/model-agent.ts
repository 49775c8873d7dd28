import type { Agent } from './agent.js'
import { eventData } from './sse.js'

export interface ModelOptions {
  /** URL of an API of OpenAI's chat completions, such as `https://api.openai.com/v1` or `http://localhost:11434/v1`. */
  baseUrl: string
  apiKey?: string
  model: string
}

/** Maximum number of earlier messages that the model gets. */
const memory = 20

const instructions = 'You are a helpful assistant in the demo of a chat. Answer in plain text, without Markdown.'

/** Creates an agent with a model behind HTTP. The end of a run aborts its request. */
export function modelAgent ({ baseUrl, apiKey, model }: ModelOptions): Agent {
  const url = new URL('chat/completions', baseUrl.replace(/\/*$/, '/'))
  const headers: Record<string, string> = { 'content-type': 'application/json' }
  if (apiKey !== undefined) headers.authorization = `Bearer ${apiKey}`

  return {
    name: model,
    isScripted: false,
    async answer (run, { content }, history) {
      const said = history.filter(message => message.content !== '').slice(-memory).map(({ role, content }) => ({ role, content }))
      const messages = [{ role: 'system', content: instructions }, ...said, { role: 'user', content }]
      const body = JSON.stringify({ model, stream: true, messages })
      const response = await fetch(url, { method: 'POST', headers, body, signal: run.signal })
      if (!response.ok) throw new Error(`the model answered ${response.status}: ${await reasonOf(response, apiKey)}`)
      await run.stream(tokens(response.body!), { agent: model })
    }
  }
}

interface Chunk {
  choices?: Array<{ delta?: { content?: string | null }, finish_reason?: string | null }>
  error?: { message?: string }
}

/** Yields the text of a stream of chat completions. Throws when the stream ends early, so that half an answer does not look complete. */
async function * tokens (body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  let isWhole = false
  for await (const data of eventData(body)) {
    if (data === '[DONE]') return
    const { choices = [], error }: Chunk = JSON.parse(data)
    if (error !== undefined) throw new Error(`the model failed: ${error.message}`)
    // An event with the usage has no choice.
    const [choice] = choices
    if (choice?.delta?.content) yield choice.delta.content
    if (choice?.finish_reason) isWhole = true
  }
  if (!isWhole) throw new Error("the model's answer broke off")
}

/** Returns the reason of a failure for the log, without the key. */
async function reasonOf (response: Response, apiKey: string | undefined): Promise<string> {
  const text = await response.text()
  return (apiKey === undefined ? text : text.replaceAll(apiKey, '…')).slice(0, 500)
}

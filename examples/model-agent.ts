import { Type, type Static, type TSchema } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import { isStepCount, jsonSchema, streamText, tool, type UIMessage } from 'ai'
import { messagesOf, streamUI } from 'fastify-realtime/ai-sdk/server'
import type { Agent } from './agent.js'
import { chatCompletions, type ModelOptions } from './chat-completions.js'

/** Maximum number of earlier messages that the model gets. */
const memory = 20

/** Maximum number of calls of the model for one answer, or between two approvals. */
const maxCalls = 8

const instructions = 'You are a helpful assistant of a shop, in the demo of a chat. Answer in plain text, without Markdown. ' +
  'Use the tools for questions about an order, and ask for its number if you do not know it.'

const Order = Type.Object({ number: Type.String({ pattern: '^[A-Z]-\\d{3,6}$', description: 'number of the order, such as A-1042' }) })

/** The tools of the model. `book_courier` runs when the user approves it. */
const tools = {
  find_order: tool({
    description: 'Looks up an order of the user.',
    inputSchema: schemaOf(Order),
    execute: async ({ number }) => ({ number, items: 3, status: 'packed' })
  }),
  book_courier: tool({
    description: 'Books a courier, who brings an order tomorrow before noon for 9.90 EUR. Needs an approval by the user.',
    inputSchema: schemaOf(Order),
    needsApproval: true,
    execute: async ({ number }) => ({ booking: `C-${number}` })
  })
}

/** Creates an agent with a model behind HTTP, which thinks and uses tools. The end of a run aborts its request. */
export function modelAgent (options: ModelOptions): Agent {
  const model = chatCompletions(options)
  return {
    name: options.model,
    isScripted: false,
    async answer (run, { id, content }, history) {
      // Of a user's message only the text counts: a client can put anything beside it.
      const said = history.map(message => ({ ...message, ui_message: undefined }))
      const earlier = (await messagesOf(said)).slice(-memory)
      const asked: UIMessage = { id, role: 'user', parts: [{ type: 'text', text: content }] }
      await streamUI(run, messages => streamText({
        model,
        instructions,
        messages,
        tools,
        stopWhen: isStepCount(maxCalls),
        abortSignal: run.signal,
        // The server logs the error of a run.
        onError () {}
      }), { agent: options.model, messages: [...earlier, asked] })
    }
  }
}

/** Returns a TypeBox schema as one of the AI SDK. The model gets the error of a wrong input, and may correct it. */
function schemaOf<T extends TSchema> (type: T) {
  return jsonSchema<Static<T>>(type, {
    validate: value => Value.Check(type, value)
      ? { success: true, value }
      : { success: false, error: new TypeError(`${Value.Errors(type, value).First()?.message}`) }
  })
}

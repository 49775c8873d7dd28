import { APICallError, UnsupportedFunctionalityError, generateId, jsonSchema, parseJsonEventStream, type LanguageModel } from 'ai'

export interface ModelOptions {
  /** URL of an API of OpenAI's chat completions, such as `https://api.openai.com/v1` or `http://localhost:11434/v1`. */
  baseUrl: string
  apiKey?: string
  model: string
}

type Model = Extract<LanguageModel, { specificationVersion: 'v4' }>
type CallOptions = Parameters<Model['doStream']>[0]
type StreamPart = Awaited<ReturnType<Model['doStream']>>['stream'] extends ReadableStream<infer Part> ? Part : never
type ModelMessage = CallOptions['prompt'][number]
type Content = Extract<ModelMessage, { role: 'assistant' }>['content'][number]
type Output = Extract<Content, { type: 'tool-result' }>['output']
type Finish = Extract<StreamPart, { type: 'finish' }>

/**
 * Creates a language model of the AI SDK over an API of OpenAI's chat completions. It streams text, reasoning and calls of tools; text
 * and tools are what it sends. An app installs its provider's package instead.
 */
export function chatCompletions ({ baseUrl, apiKey, model }: ModelOptions): Model {
  const url = new URL('chat/completions', baseUrl.replace(/\/*$/, '/'))
  const headers: Record<string, string> = { 'content-type': 'application/json' }
  if (apiKey !== undefined) headers.authorization = `Bearer ${apiKey}`

  return {
    specificationVersion: 'v4',
    provider: 'chat-completions',
    modelId: model,
    supportedUrls: {},
    async doGenerate () {
      throw new UnsupportedFunctionalityError({ functionality: 'an answer in one piece' })
    },
    async doStream (options) {
      const body = JSON.stringify({ model, ...requestOf(options) })
      const response = await fetch(url, { method: 'POST', headers, body, signal: options.abortSignal })
      if (!response.ok) throw await refusal(response, url, apiKey)
      return { stream: ReadableStream.from(partsOf(response.body!)) as ReadableStream<StreamPart> }
    }
  }
}

/** Returns an error that the AI SDK retries when its status is that of a passing failure. It has neither the key nor the conversation. */
async function refusal (response: Response, url: URL, apiKey: string | undefined): Promise<APICallError> {
  const text = await response.text()
  const reason = (apiKey === undefined ? text : text.replaceAll(apiKey, '…')).slice(0, 500)
  return new APICallError({
    message: `the model answered ${response.status}: ${reason}`,
    url: url.href,
    requestBodyValues: {},
    statusCode: response.status,
    responseHeaders: Object.fromEntries([...response.headers].filter(([name]) => name.startsWith('retry-after')))
  })
}

function requestOf ({ prompt, tools = [], toolChoice, maxOutputTokens, temperature, topP, stopSequences }: CallOptions) {
  const functions = tools.flatMap(tool => tool.type === 'function'
    ? [{ type: 'function', function: { name: tool.name, description: tool.description, parameters: tool.inputSchema } }]
    : [])
  return {
    stream: true,
    stream_options: { include_usage: true },
    messages: prompt.flatMap(messagesOf),
    ...functions.length > 0 && { tools: functions, tool_choice: choiceOf(toolChoice) },
    max_tokens: maxOutputTokens,
    temperature,
    top_p: topP,
    stop: stopSequences
  }
}

function choiceOf (choice: CallOptions['toolChoice']) {
  return choice?.type === 'tool' ? { type: 'function', function: { name: choice.toolName } } : choice?.type
}

function textOf (content: ReadonlyArray<Content | { type: string }>): string {
  return content.map(part => part.type === 'text' && 'text' in part ? part.text : '').join('')
}

function resultsOf (content: ReadonlyArray<Content | { type: string }>): object[] {
  return content.flatMap(part => part.type === 'tool-result' && 'output' in part
    ? [{ role: 'tool', tool_call_id: part.toolCallId, content: outputOf(part.output) }]
    : [])
}

/** Returns a message as the API has it. Thoughts are not sent back, and a message without anything else is left out. */
function messagesOf (message: ModelMessage): object[] {
  if (message.role === 'system') return [{ role: 'system', content: message.content }]
  if (message.role === 'user') return [{ role: 'user', content: textOf(message.content) }]
  // Results of tools that ran outside the AI SDK are in the message of the assistant.
  const results = resultsOf(message.content)
  if (message.role === 'tool') return results
  const content = textOf(message.content)
  const calls = message.content.flatMap(part => part.type === 'tool-call'
    ? [{ id: part.toolCallId, type: 'function', function: { name: part.toolName, arguments: JSON.stringify(part.input ?? {}) } }]
    : [])
  if (content === '' && calls.length === 0) return []
  return [{ role: 'assistant', content: content === '' ? null : content, ...calls.length > 0 && { tool_calls: calls } }, ...results]
}

function outputOf (output: Output): string {
  if (output.type === 'text' || output.type === 'error-text') return output.value
  if (output.type === 'execution-denied') return output.reason ?? 'The user denied this call.'
  return JSON.stringify(output.value)
}

interface Chunk {
  choices?: Array<{ delta?: Delta, finish_reason?: string | null }>
  usage?: Usage | null
  error?: { message?: string }
}

interface Delta {
  content?: string | null
  /** Thoughts: as DeepSeek and llama.cpp name them. */
  reasoning_content?: string | null
  /** Thoughts: as OpenRouter, Ollama and vLLM name them. */
  reasoning?: string | null
  tool_calls?: CallDelta[] | null
}

interface CallDelta {
  index?: number
  id?: string | null
  function?: { name?: string | null, arguments?: string | null }
}

interface Usage {
  prompt_tokens?: number
  completion_tokens?: number
  prompt_tokens_details?: { cached_tokens?: number } | null
  completion_tokens_details?: { reasoning_tokens?: number } | null
}

/** Yields the parts of a streamed answer. Throws when the stream ends early, so that half an answer does not look complete. */
async function * partsOf (body: ReadableStream<Uint8Array>): AsyncGenerator<StreamPart> {
  const answer = new Answer()
  let reason: string | undefined
  let usage: Usage = {}
  yield { type: 'stream-start', warnings: [] }
  for await (const event of parseJsonEventStream({ stream: body, schema: jsonSchema<Chunk>({}) })) {
    if (!event.success) throw event.error
    const { choices = [], error, ...chunk } = event.value
    if (error !== undefined) throw new Error(`the model failed: ${error.message}`)
    usage = chunk.usage ?? usage
    // An event with the usage has no choice.
    const [choice] = choices
    const { content, reasoning, reasoning_content: thoughts = reasoning, tool_calls: calls } = choice?.delta ?? {}
    if (thoughts) yield * answer.write('reasoning', thoughts)
    if (content) yield * answer.write('text', content)
    for (const call of calls ?? []) yield * answer.call(call)
    reason = choice?.finish_reason ?? reason
  }
  if (reason === undefined) throw new Error("the model's answer broke off")
  yield * answer.end()
  yield { type: 'finish', finishReason: finishReasonOf(reason), usage: usageOf(usage) }
}

interface Call {
  index: number | undefined
  id: string
  toolName: string
  input: string
}

/** Makes parts of deltas. Text and thoughts are one part until the other, or a call, comes between. */
class Answer {
  readonly #calls: Call[] = []
  #open: { kind: 'text' | 'reasoning', id: string } | undefined

  * write (kind: 'text' | 'reasoning', delta: string): Generator<StreamPart> {
    if (this.#open?.kind !== kind) {
      yield * this.#close()
      this.#open = { kind, id: generateId() }
      yield { type: `${kind}-start`, id: this.#open.id }
    }
    yield { type: `${kind}-delta`, id: this.#open.id, delta }
  }

  /** Some servers send no index, or the same one for each call: a new id is then a new call. */
  * call ({ index, id, function: { name, arguments: delta } = {} }: CallDelta): Generator<StreamPart> {
    let call = this.#calls.findLast(known => index === undefined || known.index === index)
    if (call === undefined || (id && id !== call.id)) {
      yield * this.#close()
      call = { index, id: id || generateId(), toolName: name ?? 'unknown', input: '' }
      this.#calls.push(call)
      yield { type: 'tool-input-start', id: call.id, toolName: call.toolName }
    }
    if (!delta) return
    call.input += delta
    yield { type: 'tool-input-delta', id: call.id, delta }
  }

  * end (): Generator<StreamPart> {
    yield * this.#close()
    for (const { id, toolName, input } of this.#calls) {
      yield { type: 'tool-input-end', id }
      yield { type: 'tool-call', toolCallId: id, toolName, input: input || '{}' }
    }
  }

  * #close (): Generator<StreamPart> {
    if (this.#open !== undefined) yield { type: `${this.#open.kind}-end`, id: this.#open.id }
    this.#open = undefined
  }
}

const finishReasons: Record<string, Finish['finishReason']['unified']> = {
  stop: 'stop', length: 'length', tool_calls: 'tool-calls', content_filter: 'content-filter'
}

function finishReasonOf (raw: string): Finish['finishReason'] {
  return { unified: finishReasons[raw] ?? 'other', raw }
}

function usageOf ({ prompt_tokens: input, completion_tokens: output, ...details }: Usage): Finish['usage'] {
  return {
    inputTokens: { total: input, noCache: undefined, cacheRead: details.prompt_tokens_details?.cached_tokens, cacheWrite: undefined },
    outputTokens: { total: output, text: undefined, reasoning: details.completion_tokens_details?.reasoning_tokens }
  }
}

import type { AnswerPart, ModelResponse } from '../hooks.js'
import { eventData } from './event-stream.js'

/** Maximum characters of a failed response that go to the log. */
const maxReason = 500

interface Completion {
  choices?: Array<{ delta?: Delta, finish_reason?: string | null }>
  usage?: unknown
  error?: unknown
}

interface Delta {
  content?: string | null
  refusal?: string | null
  /** Names that servers use for the reasoning. */
  reasoning_content?: string | null
  reasoning?: string | null
  tool_calls?: Array<{ index?: number, id?: string, function?: { name?: string, arguments?: string } }>
}

interface OpenCall {
  readonly id: string
  readonly name: string
  text: string
}

/** Whether a source is an HTTP response, of any implementation of fetch. */
export function isResponse (source: object): source is ModelResponse {
  return 'body' in source && 'status' in source && 'headers' in source
}

/**
 * Iterates the parts of a streamed response of OpenAI's chat completions; `return` cancels it. Throws when the response is an error, when
 * it contains one, and when it ends early.
 */
export class CompletionParts implements AsyncIterator<AnswerPart> {
  readonly #response: ModelResponse
  readonly #ready: AnswerPart[] = []
  readonly #calls = new Map<number, OpenCall>()
  #events: AsyncIterator<string> | undefined
  #finishReason: string | undefined
  #usage: unknown
  #isOver = false
  #count = 0

  constructor (response: ModelResponse) {
    this.#response = response
  }

  async next (): Promise<IteratorResult<AnswerPart>> {
    this.#events ??= await eventsOf(this.#response)
    while (this.#ready.length === 0 && !this.#isOver) {
      const { done, value } = await this.#events.next()
      if (done === true) this.#end()
      else this.#take(value)
    }
    const part = this.#ready.shift()
    if (part === undefined) {
      await this.return()
      return { done: true, value: undefined }
    }
    this.#count++
    return { done: false, value: part }
  }

  async return (): Promise<IteratorResult<AnswerPart>> {
    await (this.#events === undefined ? this.#response.body?.cancel() : this.#events.return!())
    return { done: true, value: undefined }
  }

  #take (data: string): void {
    if (data === '[DONE]') return this.#end()
    const { choices: [{ delta = {}, finish_reason: finishReason = null } = {}] = [], usage, error }: Completion = JSON.parse(data)
    if (error != null) throw new Error(`the model failed: ${reasonOf(error)}`)
    this.#usage = usage ?? this.#usage
    const reasoning = delta.reasoning_content ?? delta.reasoning
    if (reasoning) this.#ready.push({ kind: 'reasoning', text: reasoning })
    const text = delta.content ?? delta.refusal
    if (text) this.#ready.push({ text })
    for (const call of delta.tool_calls ?? []) this.#call(call)
    this.#finishReason = finishReason ?? this.#finishReason
  }

  /** Continues the arguments of a call. Its first piece has its id and its name. */
  #call ({ index = 0, id, function: { name = 'tool', arguments: text = '' } = {} }: NonNullable<Delta['tool_calls']>[number]): void {
    const known = this.#calls.get(index)
    // Some servers number all calls 0, and tell them apart by their ids.
    const isNew = known === undefined || (id !== undefined && id !== '' && id !== known.id)
    const call = isNew ? { id: id ?? `call-${index}`, name, text: '' } : known
    if (isNew && known !== undefined) this.#endCall(known)
    this.#calls.set(index, call)
    call.text += text
    this.#ready.push({ kind: 'tool', id: call.id, name: call.name, text })
  }

  #endCall ({ id, text }: OpenCall): void {
    try {
      this.#ready.push({ kind: 'tool', id, args: JSON.parse(text === '' ? '{}' : text) })
    } catch {
      this.#ready.push({ kind: 'tool', id, error: { code: 'invalid_input', message: 'the arguments are not JSON' } })
    }
  }

  #end (): void {
    this.#isOver = true
    if (this.#count === 0 && this.#ready.length === 0) throw new Error('the model sent nothing')
    if (this.#finishReason === undefined) throw new Error("the model's answer broke off")
    for (const call of this.#calls.values()) this.#endCall(call)
    const isNotable = this.#usage !== undefined || this.#finishReason !== 'stop'
    if (isNotable) this.#ready.push({ kind: 'metadata', value: { finishReason: this.#finishReason, usage: this.#usage } })
  }
}

async function eventsOf (response: ModelResponse): Promise<AsyncIterator<string>> {
  const { ok, status, body, headers } = response
  const type = headers.get('content-type') ?? ''
  if (ok && body !== null && /^text\/event-stream\b/i.test(type)) return eventData(body)
  const reason = (await response.text()).slice(0, maxReason)
  throw new Error(ok ? `the model answered with '${type}' instead of 'text/event-stream', set stream: true in the request: ${reason}` : `the model answered ${status}: ${reason}`)
}

function reasonOf (error: any): string {
  return typeof error === 'string' ? error : error.message ?? JSON.stringify(error)
}

import { EventType, type Event } from '@ag-ui/core'
import type { AnswerPart, ModelResponse } from '../chat/hooks.js'
import { eventData } from '../chat/sources/event-stream.js'

/** Maximum characters of a failed response that go into the error. */
const maxReason = 500

/**
 * Returns the answer of an AG-UI agent, for `run.stream`: its texts, reasoning, tool calls with their results, and steps. `CUSTOM` events
 * become data with their name, and interrupts become data with the name `interrupts`. `agent` is the streamed HTTP response of an agent, or
 * its events. The end of the run cancels it.
 *
 * The source throws, which fails the run, after `RUN_ERROR`, if the response is not a stream of events, and if the agent ends without
 * `RUN_FINISHED`. The message of the agent's error is for the log: users do not see it.
 */
export function agUiSource (agent: ModelResponse | AsyncIterable<Event>): AsyncIterable<AnswerPart> {
  return { [Symbol.asyncIterator]: () => new AgUiSource(agent) }
}

class AgUiSource implements AsyncIterator<AnswerPart> {
  readonly #agent: ModelResponse | AsyncIterable<Event>
  readonly #ready: AnswerPart[] = []
  /** Arguments of the open calls, as JSON text, by id. */
  readonly #args = new Map<string, string>()
  /** Ids of all calls. */
  readonly #calls = new Set<string>()
  #events: AsyncIterator<Event> | undefined
  /** Call that a chunk without an id continues. */
  #chunked: string | undefined
  /** Latest text or reasoning, if nothing came after it. */
  #latest: { kind: 'text' | 'reasoning', id: string | undefined } | undefined
  #isFinished = false

  constructor (agent: ModelResponse | AsyncIterable<Event>) {
    this.#agent = agent
  }

  async next (): Promise<IteratorResult<AnswerPart>> {
    this.#events ??= await eventsOf(this.#agent)
    while (this.#ready.length === 0 && !this.#isFinished) {
      const { done, value } = await this.#events.next()
      if (done === true) throw new Error("the agent's answer broke off: it ended without RUN_FINISHED")
      this.#take(value)
    }
    const part = this.#ready.shift()
    if (part !== undefined) return { done: false, value: part }
    return await this.return()
  }

  async return (): Promise<IteratorResult<AnswerPart>> {
    if (this.#events !== undefined) await this.#events.return?.()
    else if (isResponse(this.#agent)) await this.#agent.body?.cancel()
    return { done: true, value: undefined }
  }

  #take (event: Event): void {
    if (event.type !== EventType.TOOL_CALL_CHUNK) this.#endChunks()
    switch (event.type) {
      case EventType.TEXT_MESSAGE_CHUNK:
      case EventType.TEXT_MESSAGE_CONTENT: return this.#write('text', event.messageId, event.delta)
      case EventType.REASONING_MESSAGE_CHUNK:
      case EventType.REASONING_MESSAGE_CONTENT: return this.#write('reasoning', event.messageId, event.delta)
      case EventType.TOOL_CALL_START: return this.#call(event.toolCallId, event.toolCallName)
      case EventType.TOOL_CALL_ARGS: return this.#continue(event.toolCallId, event.delta)
      case EventType.TOOL_CALL_END: return this.#endCall(event.toolCallId)
      case EventType.TOOL_CALL_CHUNK: return this.#chunk(event.toolCallId, event.toolCallName, event.delta)
      case EventType.TOOL_CALL_RESULT: return this.#result(event.toolCallId, event.content)
      case EventType.STEP_STARTED: return this.#add({ kind: 'step' })
      case EventType.CUSTOM: return this.#add({ kind: 'data', name: event.name, value: event.value })
      case EventType.RUN_ERROR: throw new Error(`the agent failed: ${[event.code, event.message].filter(Boolean).join(': ')}`)
      case EventType.RUN_FINISHED:
        this.#isFinished = true
        if (event.outcome?.type === 'interrupt') this.#add({ kind: 'data', name: 'interrupts', value: event.outcome.interrupts })
    }
  }

  #add (part: AnswerPart): void {
    this.#latest = undefined
    this.#ready.push(part)
  }

  /** Adds to a text or to a reasoning. An empty line separates messages that follow each other. */
  #write (kind: 'text' | 'reasoning', given: string | undefined, delta = ''): void {
    if (delta === '') return
    const latest = this.#latest?.kind === kind ? this.#latest : undefined
    const id = given ?? latest?.id
    const text = latest === undefined || latest.id === id ? delta : `\n\n${delta}`
    this.#latest = { kind, id }
    this.#ready.push({ kind, text })
  }

  #call (id: string, name: string): void {
    this.#calls.add(id)
    this.#args.set(id, '')
    this.#add({ kind: 'tool', id, name, text: '' })
  }

  #continue (id: string, text: string): void {
    const args = this.#args.get(id)
    if (args === undefined || text === '') return
    this.#args.set(id, args + text)
    this.#add({ kind: 'tool', id, text })
  }

  #endCall (id: string): void {
    const text = this.#args.get(id)
    if (text === undefined) return
    this.#args.delete(id)
    try {
      this.#add({ kind: 'tool', id, args: JSON.parse(text === '' ? '{}' : text) })
    } catch {
      this.#add({ kind: 'tool', id, error: { code: 'invalid_input', message: 'the arguments are not JSON' } })
    }
  }

  #result (id: string, content: unknown): void {
    this.#endCall(id)
    // A call of an earlier run is not part of this answer.
    if (this.#calls.has(id)) this.#add({ kind: 'tool', id, output: content })
  }

  #chunk (given: string | undefined, name = 'tool', delta = ''): void {
    const id = given ?? this.#chunked
    if (id === undefined) return
    if (id !== this.#chunked) {
      this.#endChunks()
      this.#call(id, name)
    }
    this.#chunked = id
    this.#continue(id, delta)
  }

  #endChunks (): void {
    const id = this.#chunked
    this.#chunked = undefined
    if (id !== undefined) this.#endCall(id)
  }
}

function isResponse (agent: ModelResponse | AsyncIterable<Event>): agent is ModelResponse {
  return 'body' in agent && 'status' in agent && 'headers' in agent
}

async function eventsOf (agent: ModelResponse | AsyncIterable<Event>): Promise<AsyncIterator<Event>> {
  if (!isResponse(agent)) return agent[Symbol.asyncIterator]()
  const { ok, status, body, headers } = agent
  const type = headers.get('content-type') ?? ''
  if (!ok || body === null || !/^text\/event-stream\b/i.test(type)) {
    const reason = (await agent.text()).slice(0, maxReason)
    throw new Error(ok ? `the agent answered with '${type}' instead of 'text/event-stream': ${reason}` : `the agent answered ${status}: ${reason}`)
  }
  const data = eventData(body)
  return {
    next: async () => {
      const { done, value } = await data.next()
      return done === true ? { done, value: undefined } : { done: false, value: JSON.parse(value) as Event }
    },
    return: () => data.return!() as Promise<IteratorResult<Event>>
  }
}

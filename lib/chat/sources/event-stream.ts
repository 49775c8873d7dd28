import { readerOf } from './reader.js'

/** Parses server-sent events, as the HTML standard defines them (9.2.6), of which only the data is of interest. */
export class EventParser {
  /** Beginning of a line that is not complete. */
  #rest = ''
  #data: string[] = []

  /** Returns the data of each event that is complete with this text. */
  push (text: string): string[] {
    // A CR at the end may be half of a CRLF.
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/)
    this.#rest = lines.pop()!
    return lines.flatMap(line => this.#take(line))
  }

  /** Returns the data of the last event. Unlike in the standard, its empty line may be missing: some servers do not send it. */
  end (): string[] {
    return [...this.#rest.split('\r'), ''].flatMap(line => this.#take(line))
  }

  #take (line: string): string[] {
    // A comment begins with a colon, and so its field has no name.
    const [, field, value = ''] = /^([^:]*)(?:: ?(.*))?$/s.exec(line)!
    if (field === 'data') this.#data.push(value)
    if (line !== '' || this.#data.length === 0) return []
    return [this.#data.splice(0).join('\n')]
  }
}

/** Iterates the data of the events of a body; `return` cancels the body, even while it is being read. */
export function eventData (body: ReadableStream<Uint8Array>): AsyncIterator<string> {
  const bytes = readerOf(body)
  const decoder = new TextDecoder()
  const parser = new EventParser()
  const ready: string[] = []
  let isOver = false
  return {
    async next () {
      while (ready.length === 0 && !isOver) {
        const { done, value } = await bytes.next()
        isOver = done === true
        ready.push(...isOver ? [...parser.push(decoder.decode()), ...parser.end()] : parser.push(decoder.decode(value, { stream: true })))
      }
      const data = ready.shift()
      return data === undefined ? { done: true, value: undefined } : { done: false, value: data }
    },
    return: async () => {
      await bytes.return!()
      return { done: true, value: undefined }
    }
  }
}

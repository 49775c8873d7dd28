/** Yields the data of each event of a stream of server-sent events, regardless of its chunks. */
export async function * eventData (body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  let data: string[] = []
  for await (const line of lines(body)) {
    if (line.startsWith('data:')) data.push(line.slice(5).replace(/^ /, ''))
    if (line !== '' || data.length === 0) continue
    yield data.join('\n')
    data = []
  }
  // Some servers do not end their last event with an empty line.
  if (data.length > 0) yield data.join('\n')
}

async function * lines (body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  let rest = ''
  for await (const text of body.pipeThrough(new TextDecoderStream())) {
    // A CR at the end may be half of a CRLF.
    const parts = (rest + text).split(/\r\n|\n|\r(?!$)/)
    rest = parts.pop()!
    yield * parts
  }
  yield * rest.split('\r')
}

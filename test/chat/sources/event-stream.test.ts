import fc from 'fast-check'
import t from 'tap'
import { EventParser, eventData } from '../../../lib/chat/sources/event-stream.js'
import { loopTurns } from '../../waiting.js'

function parse (...texts: string[]): string[] {
  const parser = new EventParser()
  return [...texts.flatMap(text => parser.push(text)), ...parser.end()]
}

async function read (body: ReadableStream<Uint8Array>): Promise<string[]> {
  const events = eventData(body)
  const all: string[] = []
  for (let next = await events.next(); next.done !== true; next = await events.next()) all.push(next.value)
  return all
}

const streamOf = (...chunks: Uint8Array[]) => new ReadableStream<Uint8Array>({
  start (controller) {
    for (const chunk of chunks) controller.enqueue(chunk)
    controller.close()
  }
})

t.test('the data of events: with any line end, without comments and other fields', async t => {
  for (const end of ['\n', '\r\n', '\r']) {
    const text = [': a comment', 'event: x', 'data: a', 'data:b', 'data', 'id: 1', '', ':', '', 'data:  c: d', '', 'retry: 5', ''].join(end) + end
    t.strictSame(parse(text), ['a\nb\n', ' c: d'], JSON.stringify(end))
    t.strictSame(parse(...text), ['a\nb\n', ' c: d'], `${JSON.stringify(end)}, one character at a time`)
  }
  t.strictSame(parse(''), [])
  t.strictSame(parse('\n\n'), [])
  t.strictSame(parse('dataset: x\n\n'), [], 'another field')
})

t.test('the last event needs no empty line, and no end of its line', async t => {
  t.strictSame(parse('data: a\n\ndata: b'), ['a', 'b'])
  t.strictSame(parse('data: a\n\ndata: b\n'), ['a', 'b'])
  t.strictSame(parse('data: a\r\rdata: b\r'), ['a', 'b'])
})

t.test('a body gives the same events wherever its chunks end, also within a character or a CRLF', async t => {
  const data = ['{"a":"ä日😀"}', 'line\nline', '[DONE]', '']
  const bytes = new TextEncoder().encode('\ufeff' + data.map(text => text.split('\n').map(line => `data: ${line}\r\n`).join('') + '\r\n').join(': ping\n'))
  await fc.assert(fc.asyncProperty(fc.array(fc.nat(bytes.length)), async cuts => {
    const ends = [0, ...cuts.sort((a, b) => a - b), bytes.length]
    t.strictSame(await read(streamOf(...ends.slice(1).map((end, n) => bytes.slice(ends[n], end)))), data)
  }), { numRuns: 50, examples: [[[]], [[...bytes.keys()]]] })
})

t.test('return cancels the body while it is being read', async t => {
  let isCancelled = false
  const cancel = async () => {
    await loopTurns()
    isCancelled = true
  }
  const events = eventData(new ReadableStream({ pull: () => new Promise(() => {}), cancel }))
  const next = events.next()
  t.strictSame(await events.return!(), { done: true, value: undefined })
  t.equal(isCancelled, true)
  t.equal((await next).done, true)
})

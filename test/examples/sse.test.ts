import fc from 'fast-check'
import t from 'tap'
import { eventData } from '../../examples/sse.js'

/** Returns a body in chunks of these sizes, in turn. */
function body (text: string, sizes: readonly number[]): ReadableStream<Uint8Array> {
  const bytes = Buffer.from(text)
  let at = 0
  let n = 0
  return new ReadableStream({
    pull (controller) {
      if (at >= bytes.length) return controller.close()
      const end = at + sizes[n++ % sizes.length]
      controller.enqueue(new Uint8Array(bytes.subarray(at, end)))
      at = end
    }
  })
}

async function read (text: string, sizes: readonly number[] = [1000]): Promise<string[]> {
  const events: string[] = []
  for await (const event of eventData(body(text, sizes))) events.push(event)
  return events
}

t.test('eventData yields the data of each event, whatever the chunks and the line ends are', async t => {
  const line = fc.string({ unit: 'grapheme' }).filter(text => !/[\r\n]/.test(text))
  const event = fc.array(line, { minLength: 1, maxLength: 3 })
  const sizes = fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1, maxLength: 5 })
  await fc.assert(fc.asyncProperty(fc.array(event), fc.constantFrom('\n', '\r', '\r\n'), sizes, async (events, end, sizes) => {
    const text = events.map(lines => lines.map(line => `data: ${line}${end}`).join('') + end).join('')
    t.strictSame(await read(text, sizes), events.map(lines => lines.join('\n')))
  }))
})

t.test('eventData ignores comments and other fields, joins lines of data, and needs no empty line at the end', async t => {
  t.strictSame(await read(': hello\n\nevent: x\nid: 1\ndata: a\ndata:b\n\n\n\ndata:  c'), ['a\nb', ' c'])
  t.strictSame(await read(''), [])
})

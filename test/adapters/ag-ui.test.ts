import { EventType, type Event } from '@ag-ui/core'
import { EventSchemas } from '@ag-ui/core/schemas'
import fc from 'fast-check'
import t from 'tap'
import { fromAgUi, toAgUi, type ChatMessage } from '../../lib/adapters/ag-ui.js'
import type { Envelope } from '../../lib/index.js'
import { chunks, events, merged, published, recorded, unchunked } from './recorded.js'
import { found } from '../every.js'

const eventsOf = (envelopes: Array<Envelope | ChatMessage>) => envelopes.flatMap(toAgUi({ threadId: 'thread' }))
const messagesOf = (events: Event[]) => events.flatMap(fromAgUi())
/** Converts a value to JSON and back. */
const overTheWire = <T>(value: T): T => JSON.parse(JSON.stringify(value))
const withoutIds = (envelopes: Envelope[]) => envelopes.map(({ id, ...message }) => message)

t.test('a recorded chat that is converted to AG-UI and back has the same envelopes', async t => {
  const made = eventsOf(recorded)
  for (const event of made) t.strictSame(EventSchemas.parse(event), event, `${event.type} is valid`)
  t.same(messagesOf(overTheWire(made)), withoutIds(recorded))
  t.same(merged(messagesOf(made)), merged(recorded))
})

t.test('runs of AG-UI with every kind of event that are converted to a chat and back have the same events', async t => {
  const kinds = new Set([...events, ...chunks].map(({ type }) => type))
  t.strictSame(found(Object.values(EventType), type => !kinds.has(type)), [], 'every kind')
  for (const event of events) t.strictSame(EventSchemas.parse(event), event, `${event.type} is valid`)
  t.same(eventsOf(published(overTheWire(messagesOf(events)))), events)
})

t.test('chunks are converted back to the starts, contents and ends that they stand for', async t => {
  for (const event of chunks) EventSchemas.parse(event)
  t.same(eventsOf(published(messagesOf(chunks))), unchunked)
})

t.test('a client shows the same chat after AG-UI, even with repeated deltas, snapshots and replaced texts', async t => {
  const id = fc.constantFrom('a', 'b')
  const text = fc.string({ unit: 'grapheme', maxLength: 6 })
  const step = fc.oneof(
    fc.record({ kind: fc.constant('delta' as const), id, text }),
    fc.record({ kind: fc.constant('again' as const), id, from: fc.nat(8), text }),
    fc.record({ kind: fc.constant('ahead' as const), id, text }),
    fc.record({ kind: fc.constant('snapshot' as const), id, text }),
    fc.record({ kind: fc.constant('other' as const), id, text }),
    fc.record({ kind: fc.constant('final' as const), id, text })
  )
  await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 30 }), async steps => {
    const texts = new Map<string, string>()
    const messages: ChatMessage[] = []
    for (const { kind, id, text, ...rest } of steps) {
      const before = texts.get(id) ?? ''
      const delta = (at: number, text: string) => messages.push({ type: 'chat_delta', data: { message_id: id, run_id: 'r', agent: id, at, text } })
      const whole = (content: string, status: string) => {
        messages.push({ type: 'chat_message', data: { message_id: id, run_id: 'r', agent: id, role: 'assistant', content, status } })
        texts.set(id, content)
      }
      if (kind === 'snapshot') whole(before + text, 'streaming')
      else if (kind === 'other') whole(text, 'streaming')
      else if (kind === 'final') whole(before + text, 'complete')
      else if (kind === 'ahead') delta(before.length + 1, text)
      else {
        const at = kind === 'again' ? Math.max(0, before.length - (rest as { from: number }).from) : before.length
        delta(at, before.slice(at) + text)
        texts.set(id, before + text)
      }
    }
    for (const [id, content] of texts) messages.push({ type: 'chat_message', data: { message_id: id, run_id: 'r', agent: id, role: 'assistant', content, status: 'complete' } })
    const made = eventsOf(messages)
    for (const event of made) EventSchemas.parse(event)
    t.same(merged(messagesOf(made)).texts, merged(messages).texts)
  }), { numRuns: 300 })
})

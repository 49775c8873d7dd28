import t from 'tap'
import { PieceWriter } from '../../../lib/chat/sources/piece-writer.js'
import type { AnswerPart, Reply } from '../../../lib/index.js'
import { all, finished, startChat } from '../../chat.js'

/** The final parts that the pieces make, as they are saved. */
async function partsOf (t: Parameters<typeof startChat>[0], ...pieces: Array<string | AnswerPart>) {
  const saved: any[] = []
  const { chat, join } = await startChat(t, { save: message => { saved.push(message) } })
  const client = await join()
  const run = chat.start(async run => {
    const reply = run.reply()
    const writer = new PieceWriter(reply)
    for (const piece of pieces) await writer.write(piece)
    await reply.end()
  })
  await finished(client)
  return { outcome: await run.finished, saved: saved[0], client }
}

t.test('texts and reasonings grow until another part comes; a text after a tool is a part of its own', async t => {
  const { saved } = await partsOf(t, { kind: 'reasoning', text: 'H' }, '', { kind: 'reasoning', text: '' }, { kind: 'reasoning', text: 'm' }, 'Let ', { text: 'me ' }, { kind: 'text', text: 'see.' },
    { kind: 'tool', id: 'c', name: 'find', text: '{"q"' }, { kind: 'tool', id: 'c', text: ':1}' }, { kind: 'tool', id: 'c', args: { q: 1 } }, { kind: 'tool', id: 'c', progress: 1 },
    { kind: 'tool', id: 'c', output: 2 }, 'Two.', { kind: 'reasoning', text: 'Done?' }, { kind: 'tool', id: 'd', name: 'check', args: {}, error: { code: 'no', message: 'No.' } })
  t.match(saved, {
    content: 'Let me see.\n\nTwo.',
    parts: [
      { kind: 'reasoning', text: 'Hm' }, { kind: 'text', text: 'Let me see.' }, { kind: 'tool', part_id: 'c', name: 'find', args: { q: 1 }, status: 'complete', output: 2 },
      { kind: 'text', text: 'Two.' }, { kind: 'reasoning', text: 'Done?' }, { kind: 'tool', part_id: 'd', status: 'error', error: { code: 'no' } }
    ]
  })
  t.equal(saved.parts.length, 6)
})

t.test('sources, files, data, steps and metadata', async t => {
  const { saved, client } = await partsOf(t, { kind: 'step' }, { kind: 'source', value: { url: 'u' } }, { kind: 'file', value: { url: 'data:,', media_type: 'a/b' } },
    { kind: 'data', name: 'map', value: 1, id: 'm' }, { kind: 'data', name: 'map', value: 2, id: 'm' }, { kind: 'data', name: 'hint', value: 3, isTransient: true }, { kind: 'metadata', value: { a: 1 } })
  t.match(saved, { metadata: { a: 1 }, parts: [{ kind: 'step' }, { kind: 'source', value: { url: 'u' } }, { kind: 'file', value: { media_type: 'a/b' } }, { kind: 'data', name: 'map', value: 2 }] })
  t.equal(saved.parts.length, 4)
  t.match(all(client, 'chat_part').find(({ name }) => name === 'hint'), { is_transient: true, value: 3 })
})

t.test('the next piece waits until a part of a call is stored, and a part that cannot be stored rejects', async t => {
  const fault = new Error('too large')
  const fail = () => Promise.reject(fault)
  const call = { write: () => true, call: fail, progress: fail, fail, output: fail }
  const writer = new PieceWriter({ call: () => call } as unknown as Reply)
  for (const part of [{ args: {} }, { progress: 1 }, { error: { code: 'no' } }, { output: 1 }]) {
    await t.rejects(async () => { await writer.write({ kind: 'tool', id: 'c', name: 'find', ...part } as AnswerPart) }, fault, Object.keys(part)[0])
  }
})

t.test('a call without a name fails', async t => {
  const { outcome } = await partsOf(t, { kind: 'tool', id: 'c', text: '' })
  t.equal(outcome, 'error')
})

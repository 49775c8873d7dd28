import { type UIMessageChunk } from 'ai'
import t from 'tap'
import { answerOf, messagesOf } from '../../../lib/adapters/ai-sdk/saved.js'
import { streamUI } from '../../../lib/adapters/ai-sdk-server.js'
import type { Outcome, Run, SavedMessage } from '../../../lib/index.js'
import { eventually } from '../../waiting.js'
import { startAgent } from '../agent.js'

const place = { workflow: 'w', appId: 'a', chatId: 'c', userId: 'ada' }

/** Ends a run that has written some chunks, and returns what was saved, as a database returns it. */
async function savedOf (t: { teardown (action: () => unknown): void }, end: (run: Run) => void, ...chunks: UIMessageChunk[]) {
  const saved: SavedMessage[] = []
  const { app } = await startAgent(t, () => {}, { chat: { save: message => { saved.push(JSON.parse(JSON.stringify(message))) } } })
  let left = chunks.length
  const run = app.ws.chat(place).start(run => streamUI(run, new ReadableStream<UIMessageChunk>({
    pull (controller) {
      if (left > 0) controller.enqueue(chunks[chunks.length - left])
      if (left-- === 0 && chunks.at(-1)?.type === 'finish') controller.close()
    }
  }, { highWaterMark: 0 })))
  await eventually(() => left < 0)
  end(run as Run)
  await eventually(() => saved.length === 1)
  return saved
}

const metadata = { providerMetadata: { test: { signature: 's' } } }
const inputStart: UIMessageChunk = { type: 'tool-input-start', toolCallId: 'c', toolName: 'find', title: 'Find', ...metadata }
const delta: UIMessageChunk = { type: 'tool-input-delta', toolCallId: 'c', inputTextDelta: '{"q":"a' }
const available: UIMessageChunk = { type: 'tool-input-available', toolCallId: 'c', toolName: 'find', input: { q: 'ab' }, ...metadata }
const cancel = (run: Run) => run.cancel()

t.test('a call that is cancelled while its arguments grow keeps its metadata, and is not shown as executed by the provider', async t => {
  for (const chunks of [[inputStart], [inputStart, delta]]) {
    const saved = await savedOf(t, cancel, ...chunks)
    const [{ parts: [part] }] = await messagesOf(saved) as any
    t.match(part, { type: 'tool-find', toolCallId: 'c', state: 'output-error', errorText: 'cancelled', title: 'Find' })
    t.strictSame(part.callProviderMetadata, metadata.providerMetadata)
    t.equal(part.providerExecuted, undefined)
  }
})

t.test('a part of a cancelled answer is not pending', async t => {
  for (const chunks of [[available], [inputStart, delta, available], [available, { type: 'tool-output-available', toolCallId: 'c', output: 1, preliminary: true } as const]]) {
    const saved = await savedOf(t, cancel, ...chunks)
    t.match(await messagesOf(saved), [{ parts: [{ type: 'tool-find', state: 'output-error', errorText: 'cancelled', input: { q: 'ab' }, callProviderMetadata: metadata.providerMetadata }] }])
  }
  const saved = await savedOf(t, cancel, { type: 'reasoning-start', id: 'r' }, { type: 'reasoning-delta', id: 'r', delta: 'hm' }, { type: 'text-start', id: 't' }, { type: 'text-delta', id: 't', delta: 'so far' })
  t.match(await messagesOf(saved), [{ parts: [{ type: 'reasoning', text: 'hm' }, { type: 'text', text: 'so far' }] }])
})

t.test('a call keeps the metadata of its input beside that of its output', async t => {
  const output: UIMessageChunk = { type: 'tool-output-available', toolCallId: 'c', output: 1, providerMetadata: { test: { cost: 2 } } }
  const saved = await savedOf(t, () => {}, available, output, { type: 'finish' })
  const part = { output: 1, callProviderMetadata: metadata.providerMetadata, resultProviderMetadata: { test: { cost: 2 } } }
  t.match(await messagesOf(saved), [{ parts: [part] }])
})

t.test('an answer that is being written is a message of the AI SDK', async t => {
  t.match(await answerOf('r', []), { id: 'r', role: 'assistant', parts: [] })
  const call = { kind: 'tool', part_id: 'c', name: 'find', args: { q: 1 }, ai_sdk: {} } as const
  t.match(await answerOf('r', [{ kind: 'text', part_id: '/1', text: 'Let me see.' }, call]), {
    id: 'r', role: 'assistant', parts: [{ type: 'text', text: 'Let me see.' }, { type: 'tool-find', state: 'input-available', input: { q: 1 } }]
  })
})

t.test('a second copy of a user\'s message is left out', async t => {
  const of = (id: string, content: string, more = {}) => ({ message_id: id, role: 'user', content, timestamp: '', ...more })
  const messages = await messagesOf([
    of('m', 'hi'), of('m2', 'hi', { repeats: 'm', user_id: 'ada' }), of('m3', 'ho', { repeats: 'm', user_id: 'ada' }), of('m4', 'hi'),
    of('bob/m', 'yes', { user_id: 'bob' }), of('bob/m2', 'yes', { repeats: 'm', user_id: 'bob' })
  ])
  t.strictSame(messages.map(({ id }) => id), ['m', 'm3', 'm4', 'bob/m'])
})

t.test('messages that earlier versions saved without the fields of the call are read, too', async t => {
  const status: Outcome = 'complete'
  const saved = [
    { message_id: '/1', run_id: 'r', role: 'assistant', content: '', status, timestamp: '', parts: [{ kind: 'tool', part_id: 'c', name: 'find', args: 1, status, output: 2, ai_sdk: { ended: true } }] },
    { message_id: 'm', role: 'system', content: 'Be brief.', status, timestamp: '' }
  ]
  t.match(await messagesOf(saved as any), [{ id: 'r', parts: [{ type: 'tool-find', input: 1, output: 2 }] }, { id: 'm', role: 'system', parts: [{ text: 'Be brief.' }] }])
})

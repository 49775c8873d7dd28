import t from 'tap'
import type { Run } from '../../lib/index.js'
import { all, dataOf, finished, startChat } from '../chat.js'
import { eventually, gate, loopTurns } from '../waiting.js'

/** Writes one part of each kind, 200 deltas each where it grows. Stays open until `go`. */
async function answer (run: Run, go: Promise<unknown>): Promise<void> {
  const reply = run.reply({ agent: 'clerk' })
  const reasoning = reply.reasoning()
  for (let n = 0; n < 200; n++) {
    reasoning.write(`${n} `)
    await loopTurns(1)
  }
  await reasoning.end()
  reply.write('Let me see.')
  const call = reply.call('find', { id: 'c1' })
  for (let n = 0; n < 200; n++) call.write('.')
  await call.call({ user: 'ada' })
  await call.output(2)
  await reply.step()
  await reply.source({ url: 'https://a.example' })
  await reply.file({ url: 'data:,', media_type: 'text/plain' })
  await reply.data('chart', { n: 1 }, { id: 'd' })
  await reply.data('chart', { n: 2 }, { id: 'd' })
  const open = reply.reasoning()
  for (let n = 0; n < 200; n++) {
    open.write(`${n} `)
    await loopTurns(1)
  }
  reply.write('You have two.')
  await go
}

const texts = { reasoning: Array.from({ length: 200 }, (_, n) => `${n} `).join('') }

t.test('a client that connects late gets each part of an answer in one frame, in the order of the parts', async t => {
  const { chat, join } = await startChat(t)
  const go = gate()
  const first = await join()
  const run = chat.start(run => answer(run, go.opened))
  await eventually(() => first.received.some(envelope => JSON.stringify(envelope.data ?? {}).includes('You have two.')))
  const late = await join()
  await eventually(() => late.received.some(envelope => JSON.stringify(envelope.data ?? {}).includes('You have two.')))
  const partsOf = (client: typeof late) =>
    client.received.filter(({ type }) => /^(chat_|tool_)/.test(type)).map(envelope => ({ type: envelope.type, ...dataOf(envelope) }))
  t.match(partsOf(late), [
    { type: 'chat_part', kind: 'message', status: 'streaming' },
    { type: 'chat_part', kind: 'reasoning', status: 'complete', text: texts.reasoning },
    { type: 'chat_message', content: 'Let me see.', status: 'complete' },
    { type: 'tool_output', call_id: 'c1', output: 2, call: { type: 'tool_call', data: { call_id: 'c1', args: { user: 'ada' } } } },
    { type: 'chat_part', kind: 'step' },
    { type: 'chat_part', kind: 'source' },
    { type: 'chat_part', kind: 'file' },
    { type: 'chat_part', kind: 'data', value: { n: 2 } },
    { type: 'chat_part', kind: 'reasoning', status: 'streaming', text: texts.reasoning },
    { type: 'chat_message', content: 'You have two.', status: 'streaming', part_of: String }
  ])
  t.equal(partsOf(late).length, 10)
  t.ok(partsOf(first).length > 300, 'the client that was there got the deltas')
  t.match(partsOf(first).filter(({ type }) => type.startsWith('tool_')).map(({ type, call }: Record<string, unknown>) => [type, call]), [['tool_call', undefined], ['tool_output', undefined]])

  t.comment('clients that know only chat_delta and chat_message see both texts, each as a message')
  go.open()
  await run.finished
  await finished(late)
  t.strictSame(all(late, 'chat_message').filter(({ status }) => status !== 'streaming').map(({ content }) => content), ['Let me see.', 'You have two.'])
  const ends = all(late, 'chat_part').filter(({ status }) => status !== undefined)
  t.match(ends.slice(-2), [{ kind: 'reasoning', status: 'complete' }, { kind: 'message', status: 'complete' }])
})

t.test('a failed run leaves no empty message', async t => {
  const { chat, join } = await startChat(t)
  const client = await join()
  await chat.start(run => {
    run.reply()
    run.reply({ agent: 'b' })
    throw new Error('the provider is away')
  }).finished
  await finished(client)
  t.strictSame(client.received.filter(({ id }) => id !== undefined).map(({ type }) => type), ['run_started', 'run_finished'])
})

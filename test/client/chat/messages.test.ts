import t from 'tap'
import type { ChatItem } from '../../../lib/client/chat/items.js'
import { wholeMessages } from '../../../lib/client/chat/messages.js'

const about = { messageId: '/a', runId: 'r', createdAt: '', status: 'complete' } as const
const user: ChatItem = { kind: 'message', id: 'm', role: 'user', text: 'Hi', status: 'complete', createdAt: '' }
const reasoning: ChatItem = { ...about, kind: 'reasoning', id: '/a 1', text: 'hm' }
const one: ChatItem = { kind: 'message', id: '/a', role: 'assistant', text: 'One.', status: 'complete', createdAt: '' }
const two: ChatItem = { ...one, id: '/a.1', messageId: '/a', text: 'Two.' }
const tool: ChatItem = { kind: 'tool', id: 't', name: 'n', status: 'complete', createdAt: '' }

t.test('messages have their parts in order, and the text of all of them', async t => {
  const wholes = new Map([['/a', { status: 'streaming' as const, metadata: 1 }]])
  const messages = wholeMessages([user, reasoning, one, tool, two], wholes, [])
  t.match(messages, [
    { id: 'm', text: 'Hi', status: 'complete', parts: [user] },
    { id: '/a', role: 'assistant', text: 'One.\n\nTwo.', status: 'streaming', metadata: 1, parts: [reasoning, one, two] }
  ])
  t.equal(messages[1].parts.length, 3, 'a tool without a message is no part of one')
  t.match(wholeMessages([reasoning], new Map(), []), [{ id: '/a', kind: 'message', role: 'assistant', text: '', parts: [reasoning] }])
})

t.test('an unchanged message is the same object', async t => {
  const before = wholeMessages([user, reasoning, one], new Map(), [])
  const after = wholeMessages([user, reasoning, one, two], new Map(), before)
  t.equal(after[0], before[0])
  t.not(after[1], before[1])
  t.not(wholeMessages([user, reasoning, one], new Map([['/a', { status: 'error' as const }]]), before)[1], before[1])
})

t.test('an answer that has failed with nothing but steps is no message', async t => {
  const step: ChatItem = { ...about, kind: 'step', id: '/a 0' }
  for (const [status, parts, count] of [['error', [step], 0], ['cancelled', [step, step], 0], ['streaming', [step], 1], ['complete', [step], 1], ['error', [step, one], 1]] as const) {
    t.equal(wholeMessages(parts, new Map([['/a', { status }]]), []).length, count, `${status} ${parts.length}`)
  }
})

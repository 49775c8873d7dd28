import t from 'tap'
import { ChatLog } from '../../../lib/chat/log/chat-log.js'

function logOf (publications: Array<[string, object]>): ChatLog {
  const log = new ChatLog('e', { size: 100, ttl: 1_000, lag: 1_000 })
  for (const [type, data] of publications) log.append(JSON.stringify({ type, data: { run_id: 'r', ...data }, timestamp: '' }), 0)
  return log
}

t.test('an unfinished message is saved with its parts', async t => {
  const part = { message_id: '/a', agent: 'clerk' }
  const log = logOf([
    ['run_started', {}],
    ['chat_part', { ...part, part_id: 'message', kind: 'message', status: 'streaming', value: { tokens: 1 } }],
    ['chat_part_delta', { ...part, part_id: '1', kind: 'reasoning', at: 0, text: 'hm' }],
    ['chat_message', { ...part, role: 'assistant', content: 'One.', status: 'complete' }],
    ['chat_part_delta', { ...part, part_id: '1', kind: 'tool', name: 'find', at: 0, text: '{' }],
    ['tool_call', { ...part, call_id: '1', name: 'find', args: { q: 1 } }],
    ['tool_output', { ...part, call_id: '1', name: 'find', status: 'complete', output: 2 }],
    ['chat_part', { ...part, part_id: '2', kind: 'step' }],
    ['chat_part', { ...part, part_id: 'transient hint', kind: 'data', name: 'hint', value: 1, is_transient: true }],
    ['chat_delta', { ...part, message_id: '/a.1', part_of: '/a', at: 0, text: 'Two' }],
    ['app_message', { text: 'of the app' }],
    ['chat_delta', { run_id: 'another', message_id: '/b', at: 0, text: 'of another run' }]
  ])
  t.strictSame(log.unfinishedAnswers('r'), [{
    message_id: '/a',
    run_id: 'r',
    agent: 'clerk',
    role: 'assistant',
    metadata: { tokens: 1 },
    content: 'One.\n\nTwo',
    status: 'interrupted',
    parts: [
      { kind: 'reasoning', part_id: '1', text: 'hm' },
      { kind: 'text', part_id: '/a', text: 'One.' },
      { kind: 'tool', part_id: '1', name: 'find', args: { q: 1 }, status: 'complete', output: 2 },
      { kind: 'step', part_id: '2' },
      { kind: 'text', part_id: '/a.1', text: 'Two' }
    ]
  }])
  t.match(log.unfinished('r'), [
    { type: 'chat_part', data: { kind: 'message', status: 'interrupted' } },
    { type: 'chat_part', data: { kind: 'reasoning', text: 'hm', status: 'interrupted' } },
    { type: 'chat_message', data: { content: 'Two', part_of: '/a', status: 'interrupted' } }
  ])
})

t.test('a message of one text has no parts, and a finished one is not saved again', async t => {
  const log = logOf([
    ['chat_message', { message_id: '/a', content: 'done', status: 'complete' }],
    ['chat_part', { message_id: '/b', part_id: 'message', kind: 'message', status: 'complete' }],
    ['chat_delta', { message_id: '/c', at: 0, text: 'open' }]
  ])
  t.strictSame(log.unfinishedAnswers('r'), [{ message_id: '/c', run_id: 'r', role: 'assistant', content: 'open', status: 'interrupted' }])
})

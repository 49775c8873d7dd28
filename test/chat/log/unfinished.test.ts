import t from 'tap'
import { ChatLog } from '../../../lib/chat/log/chat-log.js'

t.test('the open parts of a run are those that began and have not ended', async t => {
  const log = new ChatLog('e', { size: 100, ttl: 1_000, lag: 1_000 })
  const publish = (type: string, data: object) => log.append(JSON.stringify({ type, data: { run_id: 'r', ...data }, timestamp: '' }), 0)
  publish('run_started', {})
  publish('chat_delta', { message_id: 'm', at: 0, text: 'ab' })
  publish('tool_call', { call_id: 'c', name: 'n' })
  publish('tool_output', { call_id: 'c', status: 'complete' })
  publish('input_request', { request_id: 'q', prompt: '?' })
  publish('input_closed', { request_id: 'q', reason: 'answered' })
  publish('tool_call', { run_id: 'other', call_id: 'd', name: 'n' })
  t.match(log.unfinished('r'), [{ type: 'chat_message', data: { message_id: 'm', content: 'ab', status: 'interrupted' } }])
  publish('run_finished', { status: 'complete' })
  t.equal(log.unfinished('r'), undefined)
  t.strictSame(log.unfinished('unknown'), [])
})

t.test('a tool and a question with the same id are both closed', async t => {
  const log = new ChatLog('e', { size: 100, ttl: 1_000, lag: 1_000 })
  const publish = (type: string, data: object) => log.append(JSON.stringify({ type, data: { run_id: 'r', ...data }, timestamp: '' }), 0)
  publish('run_queued', {})
  publish('tool_call', { call_id: 'x', name: 'n' })
  publish('input_request', { request_id: 'x', prompt: '?' })
  t.match(log.unfinished('r'), [{ type: 'tool_output' }, { type: 'input_closed' }])
  publish('tool_output', { call_id: 'x', status: 'complete' })
  t.match(log.unfinished('r'), [{ type: 'input_closed' }])
})

t.test('open items are closed as interrupted, each with its run and its own id', async t => {
  const log = new ChatLog('e', { size: 100, ttl: 1_000, lag: 1_000 })
  const publish = (type: string, data: object) => log.append(JSON.stringify({ type, data: { run_id: 'r', ...data }, timestamp: '' }), 0)
  for (const id of ['a', 'b']) {
    publish('tool_call', { call_id: id, name: 'search' })
    publish('input_request', { request_id: id, prompt: '?' })
  }
  publish('chat_delta', { message_id: 'm', agent: 'x', at: 0, text: 'ab' })
  const tool = (id: string) => ({ type: 'tool_output', data: { run_id: 'r', call_id: id, name: 'search', status: 'interrupted' } })
  const question = (id: string) => ({ type: 'input_closed', data: { run_id: 'r', request_id: id, reason: 'interrupted' } })
  const message = { type: 'chat_message', data: { role: 'assistant', run_id: 'r', message_id: 'm', agent: 'x', content: 'ab', status: 'interrupted' } }
  t.strictSame(log.unfinished('r'), [tool('a'), question('a'), tool('b'), question('b'), message])
  publish('input_closed', { request_id: 'a', reason: 'answered' })
  publish('tool_output', { call_id: 'b', status: 'complete' })
  t.strictSame(log.unfinished('r'), [tool('a'), question('b'), message])
})

t.test('a delta without a message_id opens nothing', async t => {
  const log = new ChatLog('e', { size: 100, ttl: 1_000, lag: 1_000 })
  log.append(JSON.stringify({ type: 'chat_delta', data: { run_id: 'r', at: 0, text: 'a' }, timestamp: '' }), 0)
  t.strictSame(log.unfinished('r'), [])
})

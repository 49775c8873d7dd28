import t from 'tap'
import { tellingOf } from '../../../lib/chat/log/telling.js'

const timestamp = '2026-01-01T00:00:00.000Z'

t.test('the publications that a log merges, or that protect a run, are read, and no others are parsed', async t => {
  for (const type of ['chat_delta', 'chat_message', 'chat_part', 'chat_part_delta', 'run_queued', 'run_started', 'run_finished', 'tool_call', 'tool_progress', 'tool_output']) {
    t.strictSame(tellingOf(JSON.stringify({ type, data: { message_id: 'm' }, timestamp }), undefined), { type, data: { message_id: 'm' }, timestamp })
  }
  for (const type of ['token', 'chat_deltas', 'my_chat_delta', 'tool_hint', '']) t.equal(tellingOf(`{"type":"${type}", not JSON`, undefined), undefined, type)
})

t.test('a publication that the caller has as an object is not parsed again', async t => {
  const publication = { type: 'chat_delta', data: {}, timestamp }
  t.equal(tellingOf('{"type":"chat_delta", not JSON', publication), publication)
})

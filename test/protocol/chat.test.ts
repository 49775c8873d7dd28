import { TypeCompiler } from '@sinclair/typebox/compiler'
import t from 'tap'
import '../../lib/server/messages/catalogue.js'
import { chatMessages, Outcome } from '../../lib/protocol/chat.js'

const fault = { code: 'c', message: 'm' }
const long = 'x'.repeat(129)
const longest = `${'u'.repeat(128)}/${'m'.repeat(128)}`
const tooLong = `${longest}x`

/** Valid and invalid `data` of each type. */
const examples: Record<keyof typeof chatMessages, { right: unknown[], wrong: unknown[] }> = {
  chat_message: {
    right: [
      { content: '' }, { content: 'c', message_id: 'm', run_id: 'r', role: 'user', agent: 'a', status: 'streaming', user_id: 'u' },
      { content: 'c', status: 'interrupted', more: [1] }, { content: 'c', message_id: longest }
    ],
    wrong: [
      undefined, null, 'c', {}, { content: 1 }, { content: 'c', message_id: '' }, { content: 'c', message_id: tooLong }, { content: 'c', message_id: 1 },
      { content: 'c', role: '' }, { content: 'c', status: 'done' }, { content: 'c', agent: 1 }, { content: 'c', user_id: null }
    ]
  },
  chat_delta: {
    right: [{ message_id: 'm', at: 0, text: '' }, { message_id: 'm', run_id: 'r', agent: 'a', at: 5, text: '\ud83d', more: 1 }, { message_id: longest, at: 0, text: '' }],
    wrong: [undefined, {}, { at: 0, text: '' }, { message_id: 'm', at: -1, text: '' }, { message_id: 'm', at: 0.5, text: '' }, { message_id: 'm', at: 0 }]
  },
  chat_part: {
    right: [
      { message_id: 'm', part_id: '1', kind: 'step' }, { message_id: 'm', part_id: '1', kind: 'reasoning', run_id: 'r', agent: 'a', text: 't', status: 'streaming', more: 1 },
      { message_id: 'm', part_id: '1', kind: 'data', name: 'n', value: null }, { message_id: 'm', part_id: 'message', kind: 'message', status: 'complete' }
    ],
    wrong: [
      undefined, {}, { message_id: 'm', kind: 'step' }, { part_id: '1', kind: 'step' }, { message_id: 'm', part_id: '', kind: 'step' },
      { message_id: 'm', part_id: '1' }, { message_id: 'm', part_id: '1', kind: 'other' }, { message_id: 'm', part_id: '1', kind: 'reasoning', text: 1 }
    ]
  },
  chat_part_delta: {
    right: [
      { message_id: 'm', part_id: '1', kind: 'reasoning', at: 0, text: '' },
      { message_id: 'm', part_id: '1', kind: 'tool', name: 'n', run_id: 'r', at: 5, text: '{' }
    ],
    wrong: [
      undefined, {}, { message_id: 'm', kind: 'tool', at: 0, text: '' }, { message_id: 'm', part_id: '1', at: 0, text: '' },
      { message_id: 'm', part_id: '1', kind: 'tool', at: -1, text: '' }, { message_id: 'm', part_id: '1', kind: 'tool', at: 0 }
    ]
  },
  run_queued: {
    right: [{ run_id: 'r' }, { run_id: 'r', ref: 'a', message_id: 'u/m', user_id: 'u' }],
    wrong: [undefined, {}, { run_id: '' }, { run_id: 'r', user_id: 5 }]
  },
  run_started: {
    right: [{ run_id: 'r' }, { run_id: 'r', ref: 'a', message_id: 'm', user_id: 'u' }, { run_id: 'r', ref: 5 }],
    wrong: [undefined, {}, { run_id: '' }, { run_id: 'r', ref: null }, { run_id: 'r', ref: 0.5 }, { run_id: 'r', message_id: 5 }]
  },
  run_finished: {
    right: [{ run_id: 'r', status: 'complete' }, { run_id: 'r', ref: 'm', status: 'error', error: fault }],
    wrong: [undefined, { run_id: 'r' }, { status: 'complete' }, { run_id: 'r', status: 'streaming' }, { run_id: 'r', status: 'error', error: 'e' }]
  },
  tool_call: {
    right: [{ call_id: 'c', name: 'n' }, { call_id: 'c', run_id: 'r', name: 'n', args: [1], agent: 'a' }],
    wrong: [undefined, { call_id: 'c' }, { name: 'n' }, { call_id: 'c', name: 1 }]
  },
  tool_progress: {
    right: [{ call_id: 'c' }, { call_id: 'c', run_id: 'r', progress: { share: 0.5 } }],
    wrong: [undefined, {}, { call_id: '' }, { call_id: 'c', run_id: 5 }]
  },
  tool_output: {
    right: [{ call_id: 'c', status: 'complete' }, { call_id: 'c', run_id: 'r', name: 'n', status: 'error', output: null, error: fault }],
    wrong: [undefined, { call_id: 'c' }, { status: 'complete' }, { call_id: 'c', status: 'answered' }, { call_id: 'c', status: 'error', error: {} }]
  },
  input_request: {
    right: [
      { request_id: 'q', prompt: 'p' },
      { request_id: 'q', run_id: 'r', prompt: 'p', schema: { type: 'string' }, component: 'buttons', expires_at: '2026-07-01T12:00:00.000Z' }
    ],
    wrong: [undefined, { request_id: 'q' }, { prompt: 'p' }, { request_id: 'q', prompt: 'p', expires_at: 'soon' }, { request_id: 'q', prompt: 'p', component: 1 }]
  },
  input_closed: {
    right: [{ request_id: 'q', reason: 'answered', value: 1, user_id: 'u' }, { request_id: 'q', reason: 'timeout' }, { request_id: 'q', reason: 'cancelled' }],
    wrong: [undefined, { request_id: 'q' }, { reason: 'answered' }, { request_id: 'q', reason: 'streaming' }]
  },
  chat_cancel: {
    right: [undefined, {}, { run_id: 'r' }, { ref: 'm' }, { ref: 5 }],
    wrong: [null, 'r', { run_id: 5 }, { run_id: long }, { ref: {} }]
  },
  input_response: {
    right: [{ request_id: 'q' }, { request_id: 'q', value: null }, { request_id: 'q', value: { a: [1] } }],
    wrong: [undefined, {}, { request_id: 5 }, { request_id: '' }, 'q']
  },
  chat_history: {
    right: [undefined, {}, { before: 'm' }, { before: longest }],
    wrong: [null, { before: '' }, { before: 5 }, { before: tooLong }]
  }
}

for (const type of Object.keys(examples) as Array<keyof typeof examples>) {
  t.test(`the schema of ${type} accepts valid data and rejects other data`, async t => {
    const check = TypeCompiler.Compile(chatMessages[type])
    for (const value of examples[type].right) t.equal(check.Check(value), true, `right: ${JSON.stringify(value)?.slice(0, 80)}`)
    for (const value of examples[type].wrong) t.equal(check.Check(value), false, `wrong: ${JSON.stringify(value)?.slice(0, 80)}`)
  })
}

t.test('an outcome is complete, cancelled, interrupted or error', async t => {
  const check = TypeCompiler.Compile(Outcome)
  for (const right of ['complete', 'cancelled', 'interrupted', 'error']) t.equal(check.Check(right), true, right)
  for (const wrong of ['streaming', 'answered', '', undefined]) t.equal(check.Check(wrong), false, String(wrong))
})

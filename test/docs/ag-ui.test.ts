import { EventType } from '@ag-ui/core'
import t from 'tap'
import { WebSocket } from 'ws'
import { toAgUi } from '../../lib/adapters/ag-ui.js'
import { chatMessages } from '../../lib/protocol/chat.js'
import { eventually } from '../waiting.js'
import { Page, post, recorded } from './page.js'

const page = new Page('docs/ag-ui.md')

/** Types that only clients send, and that are in no log. */
const sentByClients = ['chat_cancel', 'input_response', 'chat_history']

/** Rows of the table of types: the names in both cells. */
const rows = page.table('## Mapping of types', '| In a chat | In AG-UI |').map(row => row.map(namesIn))

/** Kinds of parts, which rows may be about. */
const kinds = ['reasoning', 'tool', 'step', 'source', 'file', 'data', 'message']

/** The words in code of a cell: types, and patterns such as `STATE_*`. */
function namesIn (cell: string): string[] {
  return [...cell.matchAll(/`([\w*]+)`/g)].map(([, name]) => name)
}

t.test('the snippet that converts does so in both directions', async t => {
  const { lines, console } = recorded()
  await page.run(t, 'ag-ui', { globals: { console } })
  t.same(lines, ['chat_message ', 'chat_delta Hello', 'TEXT_MESSAGE_START', 'TEXT_MESSAGE_CONTENT'])
})

t.test('the snippet of the server publishes a run of an agent, and the snippet of the page shows its events', async t => {
  const { app, host } = await page.serve(t, 'server')
  const { lines, console } = recorded()
  Object.assign(globalThis, { WebSocket })
  t.teardown(() => { delete (globalThis as { WebSocket?: unknown }).WebSocket })
  const { client } = await page.run(t, 'page', { globals: { console }, replace: { 'localhost:3000': host } })
  t.teardown(() => client.close())
  await client.connected()
  t.same(await post(app, '/users/ada/chats/c1/runs'), { done: true })
  await eventually(() => lines.includes('RUN_FINISHED'))
  // Texts that are written close together may arrive in one event.
  const different = lines.filter((line, at) => line !== lines[at - 1])
  t.same(different, ['RUN_STARTED', 'TEXT_MESSAGE_START', 'TEXT_MESSAGE_CONTENT', 'TEXT_MESSAGE_END', 'RUN_FINISHED'])
})

t.test('the table has every type of a chat and every event, and they become what it says', async t => {
  const data: Record<string, object> = {
    run_started: { run_id: 'r1' },
    run_finished: { run_id: 'r1', status: 'complete' },
    chat_delta: { message_id: 'm1', at: 0, text: 'a' },
    chat_message: { message_id: 'm2', content: 'a', status: 'complete' },
    tool_call: { call_id: 't1', name: 'find', args: {} },
    tool_output: { call_id: 't1', status: 'complete', output: 'a' }
  }
  for (const [types, events] of rows.slice(0, -1)) {
    const partOfKind = { message_id: 'm1', part_id: 'p1', kind: types.find(type => kinds.includes(type)), at: 0, text: 'a', run_id: 'r1' }
    for (const type of types.filter(type => type in chatMessages)) {
      const toEvents = toAgUi({ threadId: 'c1' })
      if (type === 'run_finished') toEvents({ type: 'run_started', data: { run_id: 'r1' } })
      const made = toEvents({ type, data: data[type] ?? partOfKind }).map(event => event.type)
      t.ok(made.length > 0, `${type} is an event`)
      t.same(made.filter(event => !events.includes(event)), [], type)
    }
  }
  const types = new Set(rows.flatMap(([types]) => types))
  const isPublished = (type: string) => !sentByClients.includes(type)
  t.same(Object.keys(chatMessages).filter(type => isPublished(type) && !types.has(type)), [], 'every type of a chat is there')
  const patterns = rows.flatMap(([, events]) => events).map(name => new RegExp(`^${name.replace('*', '.*')}$`))
  const isThere = (event: string) => patterns.some(pattern => pattern.test(event))
  t.same(Object.values(EventType).filter(event => !event.endsWith('_CHUNK') && !isThere(event)), [], 'every event is there')
})

t.test('every snippet of the page is run', async t => { page.allRan(t) })

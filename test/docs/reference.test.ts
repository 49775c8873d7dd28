import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TSchema } from '@sinclair/typebox'
import Fastify from 'fastify'
import t from 'tap'
import realtime, { closeCodes, errors } from '../../lib/index.js'
import { optionsSchema } from '../../lib/plugin-options.js'
import { closeMeaning } from '../../lib/protocol/close-codes.js'
import { Presence } from '../../lib/protocol/presence.js'
import { Subscribe, Subscribed, Unsubscribe, Unsubscribed } from '../../lib/protocol/channels.js'
import { chatMessages } from '../../lib/protocol/chat.js'
import { commonMessages, ConnectionAck, controlTypes, ErrorData, Renewal, Renewed, Resync } from '../../lib/protocol/envelope.js'
import { refusalReasons } from '../../lib/server/reports/refusal-reasons.js'
import { every } from '../every.js'
import { root } from '../root.js'
import { Page } from './page.js'
import { dataFieldsOf } from './frames.js'

const page = new Page('docs/reference.md')
const code = (text: string) => `\`${text}\``
const listed = (names: string[]) => names.length === 0 ? '–' : names.map(code).sort().join(', ')

/** The tables of the options, in the order of the schema. */
const optionTables = ['General options', 'History and heartbeat', 'Channels', 'Chat options', 'Limits', 'Timeouts']

t.test('the tables of the options are the schema of the options', async t => {
  const rows: string[][] = []
  const walk = (schema: TSchema, path: string[]) => {
    for (const [key, part] of Object.entries<TSchema>(schema.properties)) {
      if (part.properties !== undefined) walk(part, [...path, key])
      else rows.push([code([...path, key].join('.')), defaultOf(part), part.description!])
    }
  }
  const defaultOf = ({ default: value }: TSchema) =>
    value === undefined ? '–' : code(typeof value === 'string' ? `'${value}'` : JSON.stringify(value))
  walk(optionsSchema, [])
  t.ok(rows.length > 30)
  t.same(optionTables.flatMap(heading => page.table(`### ${heading}`, '| Option | Default | Description |')), rows)
})

/** A row for each type, with its required and its optional fields. */
function rowsOf (schemas: Record<string, TSchema | undefined>): string[][] {
  return Object.entries(schemas).map(([type, schema]) => {
    const { required, optional } = dataFieldsOf(schema)
    return [code(type), listed(required), listed(optional)]
  })
}

/** The same of a table of the page. */
function rowsBelow (heading: string, last = 'Meaning'): string[][] {
  const fieldsIn = (cell: string) => cell.split(', ').sort().join(', ')
  return page.table(heading, `| Type | Required in \`data\` | Optional in \`data\` | ${last} |`)
    .map(([type, required, optional]) => [type, fieldsIn(required), fieldsIn(optional)])
}

const { notification, task_update: taskUpdate, system_announcement: announcement } = commonMessages
const { chat_cancel: cancel, input_response: response, chat_history: history, ...toClients } = chatMessages

t.test('the tables of message types have every type, with the fields of its schema', async t => {
  t.same(rowsBelow('### Notification types'), rowsOf({ notification, task_update: taskUpdate, system_announcement: announcement }))
  t.same(rowsBelow('### Chat types'), rowsOf(toClients))
  t.same(Object.keys(commonMessages), ['notification', 'task_update', 'system_announcement', ...Object.keys(chatMessages)], 'there are no others')
})

t.test('the table of frames of the connection has every type that only the plugin sends', async t => {
  const schemas = {
    connection_ack: ConnectionAck,
    pong: undefined,
    ack: undefined,
    error: ErrorData,
    resync: Resync,
    renewed: Renewed,
    subscribed: Subscribed,
    unsubscribed: Unsubscribed,
    presence: Presence
  }
  t.same(Object.keys(schemas), [...controlTypes])
  t.same(rowsBelow('### Frames of the connection'), rowsOf(schemas))
})

t.test('the table of messages from clients has the fields of their schemas', async t => {
  const [ping, renew, subscribe, unsubscribe, presence, ...ofChats] = rowsOf({
    ping: undefined,
    renew: Renewal,
    subscribe: Subscribe,
    unsubscribe: Unsubscribe,
    presence: undefined,
    chat_cancel: cancel,
    input_response: response,
    chat_history: history
  })
  // The server sets all other fields of a client's message itself.
  const message = [code('chat_message'), listed(['content']), listed(['message_id', 'repeats'])]
  t.same(rowsBelow('### Messages from clients', 'Answer'), [ping, renew, subscribe, unsubscribe, presence, message, ...ofChats])
})

t.test('the table of errors has every error with its status', async t => {
  const rows = page.table('## Errors', '| Code | Status | When | Cure |')
  t.same(rows.map(([name, status]) => [name, status]), Object.values(errors).map(RealtimeError => {
    const error = new RealtimeError('', '')
    return [code(error.code), String(error.statusCode)]
  }))
  for (const [name, , when, cure] of rows) t.ok(when.length > 3 && cure.length > 3, `${name} has a cure`)
})

t.test('the table of codes of error frames has every code of the source', async t => {
  const source = readFileSync(join(root, 'lib/protocol/error-codes.ts'), 'utf8')
  const codes = [...source.matchAll(/'(\w+)'/g)].map(([, name]) => code(name))
  t.ok(codes.length > 8)
  const rows = page.table('### Codes of error frames', '| Code | Meaning | What to do |')
  t.same(rows.map(([name]) => name).sort(), codes.sort())
  t.ok(every(rows, ([, meaning, cure]) => meaning.length > 3 && cure.length > 3))
})

t.test('the table of close codes is the exported one', async t => {
  t.same(page.table('## Close codes', '| Code | Name | Meaning | What to do |'),
    Object.entries(closeCodes).map(([name, row]) => [String(row.code), code(name), closeMeaning(row.code), row.action]))
})

t.test('every action of a close code is explained above the table', async t => {
  const actions = new Set<string>(Object.values(closeCodes).map(({ action }) => action))
  const explained = [...page.text.matchAll(/^- `(\w+)`: /gm)].map(([, action]) => action).filter(action => actions.has(action))
  t.same(explained.sort(), [...actions].sort())
})

t.test('the table of reasons has every reason for which a client is refused', async t => {
  const rows = page.table('### Refused clients', '| Reason | Code | What the log says | Cure |')
  t.same(rows.map(([reason, status, text]) => [reason, status, text]),
    Object.entries(refusalReasons).map(([reason, row]) => [code(reason), String(row.code), row.text]))
  for (const [reason, , , cure] of rows) t.ok(cure.length > 3, `${reason} has a cure`)
})

t.test('the log line of the page has the text of its reason', async t => {
  const line = JSON.parse(/```json\n(\{ "level".*)\n```/.exec(page.text)![1])
  const { code, text } = refusalReasons[line.reason as keyof typeof refusalReasons]
  t.equal(line.code, code)
  t.equal(line.msg, `realtime: refused a client with ${code}: ${text}. The user of the path is ada`)
})

t.test('troubleshooting has the error of an app that uses app.ws before it exists', async t => {
  const notAwaited = Fastify()
  notAwaited.register(realtime)
  const failed = Fastify()
  await t.rejects(async () => failed.register(realtime, { prefix: 'no slash' }), { code: 'RT_ERR_OPTIONS' })
  for (const app of [notAwaited, failed]) {
    let message = ''
    try {
      app.ws.sendToUser('ada', { type: 'notification', data: { title: 'x' } })
    } catch (error) {
      message = (error as Error).message
    }
    t.equal(message, "Cannot read properties of undefined (reading 'sendToUser')")
    t.ok(page.text.includes(`\`${message}\``))
    await Promise.allSettled([app.close()])
  }
})

t.test('every snippet of the page is run', async t => { page.allRan(t) })

import { once } from 'node:events'
import { join } from 'node:path'
import t from 'tap'
import { forkChild } from '../children.js'
import { connect } from '../harness.js'
import { fixture } from '../process.js'
import { root } from '../root.js'
import { within } from '../waiting.js'

const chats = process.env.FULL === '1' ? 200 : 6
/** Bytes by which the heap differs from run to run. Few beside 200 answers, and a tenth of what six may take. */
const noise = process.env.FULL === '1' ? 0 : 300_000
const chunks = 20_000
const maxTime = process.env.FULL === '1' ? 500_000 : 60_000

/** Key of the part that a publication is about. A tool has the id of its call, before and after the call. */
function subjectOf ({ data }: { data?: unknown }): string {
  const { kind, message_id: messageId, part_id: partId, call_id: callId = kind === 'tool' ? partId : undefined } = data as Record<string, string>
  return callId === undefined ? `${messageId} ${partId}` : `tool ${callId}`
}

t.test(`${chats} answers of ${chunks} chunks take at most 3 times their content, and a client that connects late gets each part once`, async t => {
  const build = join(root, 'dist/lib')
  const child = forkChild(fixture('answers.mjs'), [build, `${chats}`, `${chunks}`], { execArgv: ['--expose-gc'] })
  t.teardown(() => child.kill('SIGKILL'))
  const [{ url, memory }] = await within(once(child, 'message'), 'the answers', maxTime)

  const late = await connect(t, `${url}/ws/support/shop/c0/u0`)
  await late.until(() => JSON.stringify(late.received.at(-1)).includes('"status":"streaming"') && late.received.length > 100)
  const publications = late.received.filter(({ type }) => /^(chat_|tool_)/.test(type))
  const subjects = publications.map(subjectOf)
  t.strictSame(subjects, [...new Set(subjects)])
  t.ok(subjects.length > 100, `${subjects.length} publications`)
  t.notMatch(publications.map(({ type }) => type).join(), /delta/)

  child.send('end')
  const [ended] = await within(once(child, 'message'), 'the ends', maxTime)
  t.strictSame(ended.outcomes, ['complete'])
  t.ok(memory <= 3 * ended.content + noise, `${(memory / ended.content).toFixed(2)} times the content while the answers are open`)
  t.ok(ended.memory < memory, 'their ends free memory')
})

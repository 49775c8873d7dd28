import { once } from 'node:events'
import t from 'tap'
import { forkChild } from '../children.js'
import { fixture } from '../process.js'

interface Case {
  /** Name of the hook. */
  name: string
  /** Behaviour of the hook. */
  does: string
  /** Answer that the client got. */
  got?: unknown
  /** Lines of the log at `error`. */
  logged?: string[]
  isAlive?: boolean
}

const isFailure = (does: string) => /^(throws|rejects)/.test(does) || / thenable | constructor /.test(does)
/** Whether awaiting the returned value fails. */
const isUnreadable = (does: string) => /Proxy/.test(does)
/** Answers that a client gets when the hook fails or returns an invalid value. */
const expected: Record<string, (does: string) => unknown> = {
  authenticate: does => isFailure(does) || does.startsWith('resolves with a Proxy') ? 1011 : 4401,
  authorize: does => isFailure(does) || isUnreadable(does) ? 1011 : 4403,
  renew: () => 'renew_refused',
  onConnect: does => isFailure(does) || isUnreadable(does) ? 1011 : 'connection_ack',
  onDisconnect: () => 1000,
  onMessage: does => isFailure(does) || isUnreadable(does) ? 'handler_failed' : 'ack',
  'chat.onMessage': does => isFailure(does) || isUnreadable(does) ? 'error' : 'complete',
  'chat.visible for all': () => 'ack',
  'chat.visible for each': () => 'ack',
  'chat.save': does => isFailure(does) || isUnreadable(does) ? 'handler_failed' : 'ack',
  'chat.loadHistory': does => does === 'returns an array' ? 'ack' : 'handler_failed',
  'the work of a tool': does => isFailure(does) || isUnreadable(does) ? 'error' : 'complete',
  'a part of a source': () => 'error',
  'the iterator of a source': () => 'error',
  'the source of a stream': () => 'error',
  'the end of a source': () => 'error',
  'the check of a message': () => 'handler_failed',
  'the check of an answer': () => 'handler_failed',
  'the toJSON of a message': () => 'handler_failed',
  'a logger': () => 'handler_failed 4400'
}

/** Hooks whose failures are counted: only the first within 10 s is logged at once. */
const tallied = ['authenticate', 'authorize', 'renew', 'onConnect']

/** Whether the case must be logged. */
function isLogged ({ name, does }: Case): boolean {
  if (name === 'a logger' || (tallied.includes(name) && does !== 'throws an error')) return false
  if (isFailure(does)) return true
  if (name.startsWith('chat.visible')) return does.startsWith('resolves')
  if (name === 'chat.loadHistory') return does !== 'returns an array'
  return isUnreadable(does) || !/^on|^chat\.(onMessage|save)|tool/.test(name)
}

t.test('for any value that a hook throws or returns, the process lives, the client gets an answer, and the log has the cause', async t => {
  const child = forkChild(fixture('hooks.js'), [], { stdio: ['ignore', 'inherit', 'pipe', 'ipc'] })
  t.teardown(() => child.kill('SIGKILL'))
  let output = ''
  child.stderr!.on('data', chunk => { output += chunk })
  let last: Case | undefined
  const done: Case[] = []
  child.on('message', (message: Case) => {
    last = message
    if (message.isAlive !== undefined) done.push(message)
  })
  const [code] = await once(child, 'close')
  t.equal(code, 0, `the last case was ${JSON.stringify(last)}: ${output}`)
  for (const each of done) {
    const title = `${each.name} ${each.does}`
    t.equal(each.got, expected[each.name](each.does), `${title}: the answer to the client`)
    t.equal(each.isAlive, true, `${title}: the app still answers`)
    t.ok(each.logged!.length > 0 || !isLogged(each), `${title}: the log has the cause`)
  }
  t.strictSame([...new Set(done.map(({ name }) => name))].sort(), Object.keys(expected).sort())
  t.ok(done.length > 500, `${done.length} cases`)
})

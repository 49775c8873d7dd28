import type { FastifyBaseLogger } from 'fastify'
import t from 'tap'
import { reportAwaited, type Awaited } from '../../lib/server/awaited.js'

const nothing: Awaited = { handlers: [], onDisconnect: [], runs: [], saves: [], handshakes: 0, connections: 0 }

/** What is logged: level, fields and text. */
function logged (awaited: Partial<Awaited>, ms = 8_500): Array<[level: string, fields: object, text: string]> {
  const lines: Array<[string, object, string]> = []
  const log = {
    info: (fields: object, text: string) => { lines.push(['info', fields, text]) },
    warn: (fields: object, text: string) => { lines.push(['warn', fields, text]) }
  }
  reportAwaited(log as FastifyBaseLogger, { ...nothing, ...awaited }, ms)
  return lines
}

t.test('the text names the first of each kind and counts the others, which are in the fields', async t => {
  const awaited = {
    handlers: [{ type: 'stop', connectionId: 'x-1' }, { type: 'vote', connectionId: 'x-2' }],
    onDisconnect: ['x-3'],
    runs: ['r1', 'r2', 'r3'],
    saves: ['m1'],
    handshakes: 2,
    connections: 4
  }
  const [[level, fields, text], ...others] = logged(awaited)
  t.strictSame(others, [])
  t.equal(level, 'warn')
  t.strictSame(fields, awaited)
  t.equal(text, 'realtime: the app has been closing for 1000 ms. It waits, for 8500 ms at most, for ' +
    "the handler 'stop' of connection x-1 and 1 more; onDisconnect of connection x-3; chat.save of message m1; the end of run r1 and 2 more; " +
    'authenticate or authorize of 2 handshakes; 4 connections to close. ' +
    'Code that awaits app.close() there waits for itself: call it without await')
})

t.test('clients that are slow to close are no warning, and nothing to wait for is no line', async t => {
  const [[level, fields, text]] = logged({ connections: 3 }, 1_234.5)
  t.equal(level, 'info')
  t.match(fields, { connections: 3 })
  t.equal(text, 'realtime: the app has been closing for 1000 ms. It waits, for 1235 ms at most, for 3 connections to close')
  t.strictSame(logged({}), [])
})

t.test('what is the code of the app is a warning', async t => {
  const cases: Array<Partial<Awaited>> = [
    { handlers: [{ type: 'stop', connectionId: 'x-1' }] }, { onDisconnect: ['x-1'] }, { runs: ['r1'] }, { saves: ['m1'] }, { handshakes: 1 }
  ]
  for (const awaited of cases) t.equal(logged(awaited)[0][0], 'warn')
})

t.test('a thousand handlers are counted, and twenty are listed', async t => {
  const handlers = Array.from({ length: 1_000 }, (_, n) => ({ type: 'stop', connectionId: `x-${n}` }))
  const [[, fields, text]] = logged({ handlers, connections: 1_000 })
  t.equal((fields as Awaited).handlers.length, 20)
  t.match(text, /'stop' of connection x-0 and 999 more/)
})

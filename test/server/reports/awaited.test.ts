import type { FastifyBaseLogger } from 'fastify'
import t from 'tap'
import { reportAwaited, type AwaitedWork } from '../../../lib/server/reports/awaited.js'

/** Logged lines: level, fields and text. */
function logged (awaited: AwaitedWork[], ms = 8_500): Array<[level: string, fields: object, text: string]> {
  const lines: Array<[string, object, string]> = []
  const log = {
    info: (fields: object, text: string) => { lines.push(['info', fields, text]) },
    warn: (fields: object, text: string) => { lines.push(['warn', fields, text]) }
  }
  reportAwaited(log as FastifyBaseLogger, awaited, ms)
  return lines
}

const handlersOf = (ids: string[]): AwaitedWork => ({
  field: 'handlers', items: ids.map(id => ({ id })), text: 'the handler', nameOf: ({ id }: { id: string }) => `of ${id}`, isOfApp: true
})
const runsOf = (items: string[]): AwaitedWork => ({ field: 'runs', items, text: 'the end of run', isOfApp: true })
const connectionsOf = (items: number): AwaitedWork => ({ field: 'connections', items, text: `${items} connections to close`, isOfApp: false })

t.test('the text names the first item of each kind, code of the app first, and the fields list all items', async t => {
  const [[level, fields, text], ...others] = logged([connectionsOf(4), handlersOf(['x-1', 'x-2']), runsOf(['r1', 'r2', 'r3'])])
  t.strictSame(others, [])
  t.equal(level, 'warn')
  t.strictSame(fields, { connections: 4, handlers: [{ id: 'x-1' }, { id: 'x-2' }], runs: ['r1', 'r2', 'r3'] })
  t.equal(text, 'realtime: the app has been closing for 1000 ms. It waits at most 8500 ms more for ' +
    'the handler of x-1 and 1 more; the end of run r1 and 2 more; 4 connections to close. ' +
    'Code that awaits app.close() there waits for itself: call it without await')
})

t.test('work that is not code of the app is logged at info, and no line is logged without work', async t => {
  const [[level, fields, text]] = logged([handlersOf([]), connectionsOf(3)], 1_234.5)
  t.equal(level, 'info')
  t.strictSame(fields, { handlers: [], connections: 3 })
  t.equal(text, 'realtime: the app has been closing for 1000 ms. It waits at most 1235 ms more for 3 connections to close')
  t.strictSame(logged([handlersOf([]), connectionsOf(0)]), [])
})

t.test('a thousand handlers are counted, and twenty are listed', async t => {
  const [[, fields, text]] = logged([handlersOf(Array.from({ length: 1_000 }, (_, n) => `x-${n}`))])
  t.equal((fields as { handlers: unknown[] }).handlers.length, 20)
  t.match(text, /of x-0 and 999 more/)
})

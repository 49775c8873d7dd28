import { once } from 'node:events'
import net from 'node:net'
import t from 'tap'
import { measureInTurns, RunError, type Context, type Figures } from '../../bench/measure.mjs'

const servers = { one: { kind: 'by-hand' }, two: { kind: 'by-hand' }, three: { kind: 'by-hand' } }

t.test('the servers of a round run at the same time and take turns, and each is first, second and last in turn', async t => {
  const ports: number[] = []
  const workload = {
    async * measure ({ kind, port, server, client }: Context) {
      for (let part = 0; part < 3; part++) {
        yield
        ports.push(port)
        await client.call({ call: 'connect', list: [{ port, kind, path: '/ws/notifications/u' }] })
      }
      return await server.call({ call: 'counters' }) as Figures
    }
  }
  t.strictSame(await measureInTurns(workload, servers), { one: { connections: 3 }, two: { connections: 3 }, three: { connections: 3 } })
  const letters = new Map(ports.slice(0, 3).map((port, at) => [port, 'abc'[at]]))
  t.equal(ports.map(port => letters.get(port)).join(' '), 'a b c b c a c a b')
})

t.test('servers whose workload has no parts run one after another, and the next round begins with the next one', async t => {
  const order: string[] = []
  const workload = {
    async run (kind: string) {
      order.push(kind)
      await new Promise(setImmediate)
      order.push(kind)
      return {}
    }
  }
  for (const round of [0, 1, 2]) await measureInTurns(workload, { a: { kind: 'a' }, b: { kind: 'b' }, c: { kind: 'c' } }, round)
  t.equal(order.join(''), 'aabbcc' + 'bbccaa' + 'ccaabb')
})

t.test('a server that fails in one of its parts is named in the error, and all servers end', async t => {
  const ports: number[] = []
  const workload = {
    async * measure ({ port }: Context) {
      const number = ports.push(port)
      yield
      if (number === 2) throw new Error('it failed')
      yield
      return {}
    }
  }
  const error = await measureInTurns(workload, servers).catch((error: unknown) => error)
  t.type(error, RunError)
  t.match(error, { server: 'two', message: 'it failed' })
  t.equal(ports.length, 3)
  for (const port of ports) {
    const [refused] = await once(net.connect(port, '127.0.0.1'), 'error')
    t.equal(refused.code, 'ECONNREFUSED')
  }
})

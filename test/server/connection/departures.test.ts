import t from 'tap'
import { closeCodes, type RealtimeConnection } from '../../../lib/index.js'
import { Departures } from '../../../lib/server/connection/departures.js'
import { Client, RawClient, connect, start } from '../../harness.js'
import { eventually, gate, loopTurns } from '../../waiting.js'

const path = '/ws/notifications/u1'

t.test('onDisconnect is called once for each connection whose onConnect succeeded', async t => {
  const ended: Array<{ connection: RealtimeConnection, code: number }> = []
  const { app, url } = await start(t, {
    timeouts: { connect: 50 },
    onConnect (connection) {
      if (connection.userId === 'throws') throw new Error('no')
      if (connection.userId === 'hangs') return new Promise(() => {})
      if (connection.userId === 'forbids') connection.close(closeCodes.FORBIDDEN.code, 'r'.repeat(500))
    },
    onDisconnect (connection, { code }) {
      ended.push({ connection, code })
      throw new Error('thrown by onDisconnect')
    }
  })
  t.equal((await new Client(`${url}/ws/notifications/throws`).close()).code, 1011)
  t.equal((await new Client(`${url}/ws/notifications/hangs`).close()).code, 1011)
  t.equal((await new Client(`${url}/ws/notifications/forbids`).close()).code, 4403)
  const client = await connect(t, url + path)
  client.socket.close(1000)
  await eventually(() => ended.some(({ connection }) => connection.userId === 'u1'))
  t.strictSame(ended.map(({ connection, code }) => [connection.userId, code]), [['forbids', 4403], ['u1', 1000]])
  await eventually(() => app.ws.stats().users === 0)
})

t.test('onDisconnect gets the code that the server sent, also if the client does not answer', async t => {
  const heard = gate<object>()
  const { app, port } = await start(t, { timeouts: { close: 50 }, onDisconnect: (_connection, closed) => { heard.open(closed) } })
  await RawClient.open(t, port, path)
  await eventually(() => app.ws.isOnline('u1') === true)
  app.ws.connections('u1')[0].close(4401, 'expired')
  t.match(await heard.opened, { code: 4401, reason: 'expired' })
})

t.test('app.close() waits for onDisconnect hooks', async t => {
  const steps: string[] = []
  const { app, url } = await start(t, {
    async onDisconnect () {
      await loopTurns()
      steps.push('hook')
    }
  })
  await connect(t, url + path)
  await app.close()
  t.strictSame(steps, ['hook'])
})

t.test('without onDisconnect nothing is called and nothing is logged', async t => {
  const fail = () => t.fail('there is no hook')
  const departures = new Departures({ onDisconnect: undefined, log: { error: fail, warn: fail } as never, onGone: fail })
  const connection = { id: 'c1', state: 'closed', closed: { code: 1000, reason: '' } }
  departures.greeted(connection as never)
  departures.closed(connection as never)
  await loopTurns()
  t.equal(departures.size, 0)
})

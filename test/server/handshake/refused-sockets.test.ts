import t from 'tap'
import { RawClient, as, authenticateByHeader, connect, refusedWith, start } from '../../harness.js'
import { eventually, loopTurns } from '../../waiting.js'

const path = '/ws/notifications/u1'

t.test('refused clients that do not answer their Close block no other client, and are ended by app.close()', async t => {
  const { app, url, port } = await start(t, {
    authenticate: authenticateByHeader,
    limits: { connections: 1, pending: 2 },
    timeouts: { close: 600_000, drain: 100 }
  })
  const refused: RawClient[] = []
  for (let n = 0; n < 3; n++) {
    refused.push(await RawClient.open(t, port, path))
    await eventually(() => refused[n].closeCode === 4401)
  }
  await eventually(() => refused[0].isClosed)
  t.strictSame(refused.map(({ isClosed }) => isClosed), [true, false, false], 'the oldest one is ended to make room')
  await connect(t, url + path, as('u1'))
  t.equal(await refusedWith(url + path, as('u1')), 503)
  await app.close()
  await eventually(() => refused.every(({ isClosed }) => isClosed))
})

t.test('app.close() does not wait for a refused client that has disconnected', { timeout: 8_000 }, async t => {
  const { app, port } = await start(t, { authenticate: () => null, timeouts: { close: 600_000, drain: 9_000 } })
  const gone = await RawClient.open(t, port, path)
  await eventually(() => gone.closeCode === 4401)
  gone.stream.destroy()
  const slow = await RawClient.open(t, port, path)
  await eventually(() => slow.closeCode === 4401)
  const closed = app.close()
  let isClosed = false
  closed.then(() => { isClosed = true })
  await loopTurns(20)
  t.notOk(isClosed, 'app.close() waits for a refused client that is still connected')
  slow.stream.destroy()
  await closed
})

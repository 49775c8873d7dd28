import { ServerResponse, type IncomingMessage } from 'node:http'
import { PassThrough } from 'node:stream'
import t from 'tap'
import { notificationsPath as path, type NotificationsTarget } from '../../../lib/notifications/kinds.js'
import { Handshake, type UpgradedStream } from '../../../lib/server/handshake/handshake.js'
import type { PendingHandshake } from '../../../lib/server/handshake/pending.js'
import { start } from '../../harness.js'
import { loopTurns } from '../../waiting.js'

const target: NotificationsTarget = { kind: 'notifications', userId: 'u1' }

function begin (hasRoom = true) {
  const raw = { method: 'GET', httpVersionMajor: 1, httpVersionMinor: 1 } as IncomingMessage
  const stream: UpgradedStream = new PassThrough()
  let releases = 0
  const addresses: unknown[] = []
  let notes = 0
  const pending = {
    noteAddress () { notes++ },
    comesFrom (address?: string) { addresses.push(address); return address !== 'busy' },
    end () { releases++ }
  }
  const handshake = new Handshake(raw, stream, hasRoom, pending as unknown as PendingHandshake)
  return { raw, stream, handshake, releases: () => releases, addresses, notes: () => notes }
}

t.test('Handshake.of() returns the handshake of a raw request, and undefined for a plain request', async t => {
  const { raw, handshake } = begin()
  t.equal(Handshake.of(raw), handshake)
  t.equal(Handshake.of({}), undefined)
})

t.test('a handshake is counted for its address once the address is known', async t => {
  const { handshake, addresses } = begin()
  t.same([handshake.comesFrom('free'), handshake.comesFrom('busy')], [true, false])
  t.same(addresses, ['free', 'busy'])
})

t.test('a handshake for a channel goes through its stages in order', async t => {
  const { raw, stream, handshake, releases } = begin()
  t.equal(handshake.stage, 'waiting')
  handshake.ask({ path, target }, new ServerResponse(raw))
  t.equal(handshake.stage, 'waiting', 'ask() has no effect before the routing')
  handshake.route()
  t.equal(handshake.stage, 'routed')
  t.equal(handshake.target, undefined)
  t.throws(() => handshake.take(), /routed cannot be taken/)
  const response = new ServerResponse(raw)
  response.assignSocket(stream as never)
  handshake.ask({ path, target }, response)
  t.equal(handshake.target, target)
  const verdict = { isHidden: false, identity: { userId: 'u1' } }
  handshake.decide(verdict)
  t.same([handshake.stage, handshake.target], ['decided', undefined])
  t.same(handshake.take(), { stream, path, target, verdict })
  t.equal(stream._httpMessage, null, 'the stream is free for the WebSocket')
  t.equal(releases(), 0)
  handshake.end()
  handshake.end()
  t.same([handshake.stage, releases()], ['over', 1], 'its place is freed once')
  handshake.decide(verdict)
  handshake.route()
  t.equal(handshake.stage, 'over')
})

t.test('data that is written in the turn of the routing is sent in one write', async t => {
  const { stream, handshake } = begin()
  handshake.route()
  t.equal(stream.writableCorked, 1)
  await loopTurns()
  t.equal(stream.writableCorked, 0)
})

t.test('a plain answer to an upgrade ends its socket, also if it is complete in a later turn', async t => {
  for (const turns of [0, 3]) {
    const { raw, stream, handshake } = begin()
    stream.resume()
    const response = new ServerResponse(raw)
    response.assignSocket(stream as never)
    handshake.route()
    await loopTurns(turns)
    t.equal(stream.destroyed, false)
    response.end('no')
    await new Promise(resolve => stream.on('close', resolve))
    t.equal(stream.destroyed, true)
  }
})

t.test('the address of a handshake is noted only if the handshake outlives its turn', async t => {
  const slow = begin()
  const quick = begin()
  slow.handshake.route()
  quick.handshake.route()
  quick.handshake.end()
  await loopTurns()
  t.same([slow.notes(), quick.notes()], [1, 0])
})

t.test('a handshake of injectWS that is refused frees its place', async t => {
  const { app } = await start(t, { limits: { pending: 2 } })
  for (let n = 0; n < 3; n++) {
    await t.rejects(app.injectWS('/ws/notifications/u1', { headers: { 'x-real-ip': '203.0.113.7' } }), /403/)
    await loopTurns()
  }
  const socket = await app.injectWS('/ws/notifications/u1')
  socket.terminate()
})

import { mock } from 'node:test'
import t, { type Test } from 'tap'
import type { RealtimeClient } from '../../../lib/client/index.js'
import { ChannelStores, type ChannelStore, type Stop } from '../../../lib/react/state/channel-store.js'
import { fakeClient } from '../../../lib/testing/index.js'

/** Channels of a fake client, and a clock that the test moves. */
function opened (t: Test, client: RealtimeClient = fakeClient()) {
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  const errors: unknown[] = []
  const channels = new ChannelStores({ connect: () => client, report: error => errors.push(error) })
  return { channels, errors, pass: (ms: number) => mock.timers.tick(ms) }
}

/** Listens like a component. Returns what it gets, and a function that leaves the channel. */
function shown (channel: ChannelStore, stop?: Stop) {
  const got: unknown[] = []
  const unbind = channel.listen({ onMessage: ({ data }) => got.push(data), onResume: resume => got.push(resume) }, stop)
  return {
    got,
    leave (): Stop {
      unbind()
      const { stop } = channel
      channel.leave()
      return stop
    }
  }
}

t.test('holders of a channel share one object, which ends 5 s after the last one has left', async t => {
  const { channels, pass } = opened(t)
  const first = channels.open('board:b1')
  t.equal(channels.open('board:b1'), first)
  t.not(channels.open('board:b2'), first)
  first.leave()
  pass(10_000)
  t.equal(channels.open('board:b1'), first, 'it has a holder')
  first.leave()
  first.leave()
  pass(4_999)
  t.equal(channels.open('board:b1'), first)
  pass(4_999)
  t.equal(channels.open('board:b1'), first, 'it has a holder again')
  first.leave()
  first.leave()
  pass(5_000)
  t.not(channels.open('board:b1'), first)
})

t.test('a component that stopped gets what arrived until it is shown again, and each one continues where it stopped', async t => {
  const client = fakeClient()
  const { channels, pass } = opened(t, client)
  const channel = channels.open('board:b1')
  channels.open('board:b1')
  const [one, other] = [shown(channel), shown(channel)]
  const server = client.channelOf('board', 'b1')
  server.emit('moved', 1)
  const stopOfOne = one.leave()
  server.emit('moved', 2)
  server.resume(true)
  const stopOfOther = other.leave()
  pass(4_000)
  server.emit('moved', 3)
  pass(4_000)
  server.emit('moved', 'while unsubscribed')
  t.equal(channels.open('board:b1', channel), channel)
  t.equal(channels.open('board:b1', channel), channel)
  const again = shown(channel, stopOfOne)
  const otherAgain = shown(channel, stopOfOther)
  server.emit('moved', 4)
  t.strictSame([one.got, other.got], [[1], [1, 2, { recovered: true }]])
  t.strictSame([again.got, otherAgain.got], [[{ recovered: true }, 2, 3, 4], [3, 4]])
})

t.test('a component whose channel was opened again meanwhile learns that messages were missed', async t => {
  const { channels, pass } = opened(t)
  const before = channels.open('board:b1')
  const stop = shown(before).leave()
  pass(5_000)
  channels.open('board:b1')
  const now = channels.open('board:b1', before)
  t.not(now, before)
  t.strictSame(shown(now, stop).got, [{ recovered: false }])
})

t.test('listeners of a component that catches up do not affect each other', async t => {
  const client = fakeClient()
  const { channels, errors } = opened(t, client)
  const channel = channels.open('board:b1')
  const { stop } = channel
  for (const data of [1, 2]) client.channelOf('board', 'b1').emit('moved', data)
  const got: unknown[] = []
  channel.listen({
    onMessage ({ data }) {
      got.push(data)
      throw new Error(`of ${data}`)
    },
    onResume () {}
  }, stop)
  t.strictSame(got, [1, 2])
  t.match(errors, [{ message: 'of 1' }, { message: 'of 2' }])
})

t.test('the snapshot follows the status, and stays as it was while no component shows the channel', async t => {
  const client = fakeClient('connecting')
  const { channels } = opened(t, client)
  const channel = channels.open('board:b1')
  const server = client.channelOf('board', 'b1')
  let changes = 0
  const unsubscribe = channel.subscribe(() => { changes++ })
  server.setStatus('open')
  t.strictSame(channel.snapshot(), { status: 'open', closed: undefined })
  t.equal(channel.snapshot(), channel.snapshot())
  channel.leave()
  server.setStatus('closed', 4403)
  t.equal(channel.snapshot().status, 'open')
  channels.open('board:b1')
  t.equal(channel.snapshot().status, 'open', 'it was opened again')
  server.setStatus('closed', 4403)
  t.match(channel.snapshot(), { status: 'closed', closed: { code: 4403 } })
  t.equal(changes, 2)
  unsubscribe()
  channel.reopen()
  t.equal(changes, 2)
})

import { mock } from 'node:test'
import t, { type Test } from 'tap'
import { Keys } from '../../../../lib/brokers/redis/keys.js'
import { Members } from '../../../../lib/brokers/redis/cluster/members.js'
import { pulseScript as pulse } from '../../../../lib/brokers/redis/commands/pulse.js'
import type { Script } from '../../../../lib/brokers/redis/commands/script.js'
import { startLink } from '../../../redis-nodes.js'
import { RedisServer, skipRedis } from '../../../redis-server.js'
import { eventually, loopTurns } from '../../../waiting.js'

// nodes.test.ts and commands/index.test.ts test how dead nodes are detected, and which node inherits their leases.

t.test('members know which other nodes are alive', { skip: skipRedis }, async t => {
  const server = await RedisServer.start(t)
  const client = server.client(t)
  const { link, connection } = startLink(t, { url: server.url })
  await eventually(() => link.isReady)
  const keys = new Keys('t:')
  // The members of a test would inherit the leases of an earlier test.
  t.beforeEach(async () => { await client.flushall() })

  function make (t: Test, id: string, canInherit = true) {
    // `unknown`: for each time that Redis did not know the node, whether the node counted as dead.
    const seen = { unknown: [] as boolean[], beats: 0, inherited: [] as Array<[string, string]>, silences: 0 }
    const members = new Members(id, link, keys, {
      onUnknown: wasDead => seen.unknown.push(wasDead),
      onBeat: () => seen.beats++,
      onSilent: () => seen.silences++,
      canInherit: () => canInherit,
      onInherited: leases => seen.inherited.push(...leases)
    })
    t.teardown(() => members.stop())
    return { members, seen }
  }

  /** Starts a node, and resolves after its first beat. Its intervals fire with `mock.timers.tick`. */
  async function start (t: Test, id: string, canInherit = true) {
    mock.timers.enable({ apis: ['setInterval'] })
    t.teardown(() => mock.timers.reset())
    const made = make(t, id, canInherit)
    made.members.start()
    await eventually(() => made.seen.beats === 1)
    return made
  }

  t.test('two nodes know each other after a beat', async t => {
    const [a, b] = [make(t, 'a'), make(t, 'b')]
    t.strictSame(a.members.alive, ['a'])
    a.members.start()
    await eventually(() => a.seen.beats === 1)
    b.members.start()
    await eventually(() => b.seen.beats === 1)
    await a.members.beat()
    t.strictSame([...a.members.alive].sort(), ['a', 'b'])
    t.strictSame([a.seen.unknown, b.seen.unknown], [[false], [false]])
  })

  t.test('isOneSilent detects a node without a pulse, and resolves with false for a node with one', async t => {
    const [a, b] = [make(t, 'p'), make(t, 'q')]
    a.members.start()
    b.members.start()
    await eventually(() => a.seen.beats > 0 && b.seen.beats > 0)
    t.equal(await a.members.isOneSilent(['q'], 1_600), false)
    t.equal(await a.members.isOneSilent(['p'], 1_600), false, 'the node itself is not silent')
    await client.zadd(keys.shared('alive'), Date.now(), 'killed')
    const start = performance.now()
    t.equal(await a.members.isOneSilent(['q', 'killed'], 1_700), true)
    t.ok(performance.now() - start < 1_700, `after ${Math.round(performance.now() - start)} ms`)
    t.ok(a.members.silent.includes('killed'))
    t.notOk(a.members.silent.includes('q'))
    t.equal(await a.members.isOneSilent(['unknown'], 500), false, 'the wait for a node that Redis does not know is limited')
    await a.members.stop()
    t.equal(await a.members.isOneSilent(['killed'], 10_000), false)
    await b.members.stop()
  })

  t.test('isOneSilent resolves once the nodes have shown a pulse after the call, clears its timer, and settles only once', async t => {
    const { members } = await start(t, 'r')
    const set = mock.method(globalThis, 'setTimeout')
    const cleared = mock.method(globalThis, 'clearTimeout')
    t.teardown(() => mock.restoreAll())
    const asked = members.isOneSilent(['other'], 54_321)
    const timer = set.mock.calls.find(call => (call.arguments as unknown[])[1] === 54_321)!.result
    const clears = () => cleared.mock.calls.filter(call => call.arguments[0] === timer).length
    const run = mock.method(link, 'run')
    /** Pulses. `now`: time of Redis. `other`: time of the last pulse of the other node. */
    const pulseAt = async (now: number, other: number) => {
      run.mock.mockImplementation(async (_script: Script) => [now, 'r', String(now), 'other', String(other)])
      await members.pulse()
    }
    await pulseAt(1_000, 900)
    await pulseAt(1_400, 1_000)
    t.equal(await soon(asked), 'open', 'that pulse may be from before the call')
    await pulseAt(1_800, 1_001)
    t.equal(await soon(asked), false)
    t.equal(clears(), 1)
    await pulseAt(2_200, 1_400)
    t.equal(clears(), 1, 'the call is settled only once')
    t.strictSame(run.mock.calls.map(call => call.arguments[0]), Array(4).fill(pulse))
  })

  t.test('onUnknown is called once after Redis forgot the node, counted it as dead, or was silent for over 4.5 s', async t => {
    const { members, seen } = await start(t, 'c')
    await members.beat()
    t.strictSame(seen.unknown, [false], 'Redis does not know a node at its first beat')
    await client.zrem(keys.shared('alive'), 'c')
    await members.beat()
    await members.beat()
    t.strictSame(seen.unknown.splice(1), [false])
    await client.zadd(keys.shared('dead'), Date.now(), 'c')
    await members.beat()
    await members.beat()
    t.strictSame(seen.unknown.splice(1), [true])
    const ahead = performance.now() + 4_600
    const clock = mock.method(performance, 'now', () => ahead)
    t.teardown(() => clock.mock.restore())
    await members.beat()
    await members.beat()
    t.strictSame(seen.unknown.splice(1), [false])
  })

  t.test('a node that Redis has forgotten as dead counts as dead once, not again when its death is forgotten', async t => {
    const { members, seen } = await start(t, 'k')
    await client.zadd(keys.shared('dead'), Date.now(), 'k')
    await members.beat()
    await client.del(keys.shared('dead'))
    await members.beat()
    t.strictSame(seen.unknown, [false, true])
  })

  t.test('only one pulse is under way, and none while Redis cannot be reached', async t => {
    const { members } = await start(t, 'l')
    const run = mock.method(link, 'run')
    t.teardown(() => mock.restoreAll())
    await Promise.all([members.pulse(), members.pulse()])
    t.equal(run.mock.callCount(), 1)
    await members.pulse()
    t.equal(run.mock.callCount(), 2)
    const ready = mock.getter(link, 'isReady', () => false)
    await members.pulse()
    t.equal(run.mock.callCount(), 2)
    ready.mock.restore()
    await members.stop()
    run.mock.resetCalls()
    await members.pulse()
    t.equal(run.mock.callCount(), 0, 'a stopped node sends none')
  })

  t.test('which nodes are alive is unknown after 1.5 s without an answer, and known again at once with the next answer', async t => {
    const { members, seen } = await start(t, 'n')
    t.strictSame(members.known, ['n'])
    const clock = mock.method(performance, 'now')
    t.teardown(() => mock.restoreAll())
    const away = mock.method(link, 'run', async () => { throw new Error('away') })
    const before = performance.now()
    clock.mock.mockImplementation(() => before + 1_600)
    await members.pulse()
    t.equal(members.known, undefined)
    t.equal(seen.silences, 1)
    away.mock.restore()
    const { beats } = seen
    await members.pulse()
    await eventually(() => seen.beats === beats + 1)
    t.strictSame(members.known, ['n'])
  })

  const die = async (node: string, lease: string) => {
    // A node counts as dead only if another node is alive: otherwise Redis was away.
    await client.zadd(keys.shared('alive'), 1, node, Date.now(), 'other')
    await client.hset(keys.shared('holders'), lease, node)
    await client.hset(keys.shared('leases'), lease, '{}')
  }

  t.test('a node inherits the lease of a dead node', async t => {
    await die('dead', 'run:1')
    const { members, seen } = make(t, 'd')
    members.start()
    await eventually(() => seen.beats === 1)
    t.strictSame(seen.inherited, [['run:1', '{}']])
    t.equal(members.alive.includes('dead'), false)
  })

  t.test('leases inherited with a beat whose answer is lost arrive with the next beat, and only once', async t => {
    const { members, seen } = await start(t, 'f')
    await die('dead2', 'run:2')
    const lost = mock.method(connection, 'evalsha', async (...args: Parameters<typeof connection.eval>) => {
      await connection.call('EVALSHA', ...args as string[])
      throw new Error('cut')
    })
    await members.beat()
    lost.mock.restore()
    t.equal(await client.hget(keys.shared('holders'), 'run:2'), 'f')
    t.strictSame(seen.inherited, [])
    await members.beat()
    t.strictSame(seen.inherited, [['run:2', '{}']])
    await members.beat()
    t.equal(seen.inherited.length, 1)
  })

  t.test('a node that cannot inherit leaves the leases of the dead to other nodes', async t => {
    const { members, seen } = await start(t, 'g', false)
    await die('dead3', 'run:3')
    await members.beat()
    t.equal(await client.hget(keys.shared('holders'), 'run:3'), 'dead3')
    t.strictSame(seen.inherited, [])
  })

  t.test('a stopped node does not beat, and Redis knows that it has ended', async t => {
    const { members, seen } = make(t, 'e')
    members.start()
    await eventually(() => seen.beats === 1)
    await members.stop()
    await members.beat()
    t.equal(seen.beats, 1)
    t.equal(await client.zscore(keys.shared('alive'), 'e'), '0')
  })
  t.test('stop settles open calls of isOneSilent, ends the timers and ignores the answer to a beat under way', async t => {
    const { members, seen } = await start(t, 'h')
    t.equal(await soon(members.isOneSilent(['h'], 60_000)), false, 'the node itself needs no pulse')
    const asked = members.isOneSilent(['unknown'], 60_000)
    const beating = members.beat()
    const stopping = members.stop()
    t.equal(await soon(asked), false)
    await Promise.all([beating, stopping])
    t.equal(seen.beats, 1)
    const [beat, pulse] = [mock.method(members, 'beat'), mock.method(members, 'pulse')]
    mock.timers.tick(3_000)
    t.strictSame([beat.mock.callCount(), pulse.mock.callCount()], [0, 0])
  })
})

/** Outcome of a promise that is settled already, otherwise 'open'. */
function soon<T> (promise: Promise<T>): Promise<T | 'open'> {
  return Promise.race([promise, loopTurns().then(() => 'open' as const)])
}

import fc from 'fast-check'
import t from 'tap'
import { nobody, type PresenceState } from '../../lib/client/channels/presence.js'
import { applied } from '../../lib/client/channels/roster.js'
import type { Reader } from '../../lib/logs/log.js'
import type { Change } from '../../lib/presence/log/roster.js'
import { Versions } from '../../lib/presence/versions.js'

const present = (id: string, data?: string, user = `user_${id}`) => ({ id, user, data })
const join = (...ids: string[]) => new Map<string, Change>(ids.map(id => [id, { before: undefined, after: present(id) }]))
const leave = (...ids: string[]) => new Map<string, Change>(ids.map(id => [id, { before: present(id), after: undefined }]))
const none = new Map<string, Change>()

function setup (max = 200) {
  let encoded = 0
  const versions = new Versions(max, (_position, data) => {
    encoded++
    return data
  })
  const reader = (): Reader & { woken: number } => {
    const reader = { offset: 0, epoch: '', woken: 0, wake () { this.woken++ }, catchUp () {} }
    versions.add(reader)
    return reader
  }
  const read = (reader: Reader) => {
    const frame = versions.read(reader, 1_000)
    return frame === '' ? undefined : JSON.parse(frame.toString())
  }
  return { versions, reader, read, encoded: () => encoded }
}

t.test('a new reader gets the state, and then one difference per version, encoded once for all readers', async t => {
  const { versions, reader, read, encoded } = setup()
  versions.publish(join('a'), false)
  const readers = [reader(), reader(), reader()]
  for (const each of readers) t.match(read(each), { count: 1, members: [{ user_id: 'user_a' }] })
  versions.publish(join('b'), false)
  t.strictSame(readers.map(({ woken }) => woken), [0, 0, 0], 'not by the version itself')
  versions.wakeReaders()
  t.strictSame(readers.map(({ woken }) => woken), [1, 1, 1])
  for (const each of readers) t.strictSame(read(each), { count: 2, joined: [{ user_id: 'user_b', connections: [{ id: 'b' }] }] })
  t.strictSame([read(readers[0]), versions.behind(readers[0]), encoded()], [undefined, 0, 2])
})

t.test('a reader that has missed versions gets one difference, and one that has missed many the state', async t => {
  const { versions, reader, read } = setup()
  versions.publish(join('a'), false)
  const [near, far] = [reader(), reader()]
  read(near)
  read(far)
  for (let n = 0; n < 40; n++) versions.publish(n % 2 === 0 ? join('b') : leave('b'), false)
  t.equal(versions.behind(far), 1)
  t.strictSame(read(far), { count: 1, members: [{ user_id: 'user_a', connections: [{ id: 'a' }] }] })
  read(near)
  versions.publish(join('b'), false)
  versions.publish(join('c'), false)
  versions.publish(leave('b'), false)
  t.strictSame(read(near), { count: 2, joined: [{ user_id: 'user_c', connections: [{ id: 'c' }] }] })
  t.notOk(versions.isLost())
})

t.test('above the maximum there are only numbers, and nothing if the number is the same; a state follows below 90 % of it', async t => {
  const { versions, reader, read } = setup(10)
  versions.publish(join(...'abcdefghij'), false)
  const own = reader()
  t.equal(read(own).members.length, 10)
  versions.publish(join('k'), false)
  t.strictSame(read(own), { count: 11, members: null })
  versions.publish(new Map([['k', { before: present('k'), after: present('k', '1') }]]), false)
  t.equal(read(own), undefined)
  versions.publish(leave('k'), false)
  t.strictSame(read(own), { count: 10, members: null })
  t.strictSame(read(reader()), { count: 10, members: null })
  versions.publish(leave('j'), false)
  t.equal(read(own).members.length, 9)
  versions.publish(leave('i'), false)
  t.match(read(own), { count: 8, left: [{ user_id: 'user_i' }] })
})

t.test('readers are woken once per version, and more than 500 of them only with every second call', t => {
  const { versions, reader } = setup()
  const readers = Array.from({ length: 500 }, reader)
  const woken = () => readers.reduce((sum, { woken }) => sum + woken, 0)
  t.ok(versions.wakeReaders())
  versions.publish(join('a'), false)
  t.strictSame([versions.wakeReaders(), versions.wakeReaders(), woken()], [true, true, 500])
  readers.push(reader())
  versions.publish(join('b'), false)
  t.strictSame([versions.wakeReaders(), woken()], [false, 500])
  versions.publish(join('c'), false)
  t.strictSame([versions.wakeReaders(), woken()], [true, 1_001])
  versions.publish(join('d'), false)
  t.strictSame([versions.wakeReaders(), versions.wakeReaders(), woken()], [false, true, 1_502])
  t.end()
})

t.test('a list that may be old is marked, and nothing is published without news', async t => {
  const { versions, reader, read } = setup()
  versions.publish(join('a'), false)
  const own = reader()
  read(own)
  versions.publish(none, true)
  t.strictSame(read(own), { count: 1, stale: true })
  versions.publish(none, true)
  t.equal(read(own), undefined)
  versions.publish(none, false)
  t.strictSame(read(own), { count: 1 })
})

t.test('an empty channel has a first version', async t => {
  const { versions, reader, read } = setup()
  versions.publish(none, false)
  t.strictSame(read(reader()), { count: 0, members: [] })
})

t.test('a Buffer is not read beside text, and nothing is retained for the broker', async t => {
  const versions = new Versions(200, (_position, data) => Buffer.from(data))
  versions.publish(join('a'), false)
  const reader = { offset: 0, epoch: '', wake () {}, catchUp () {} }
  versions.add(reader)
  t.equal(versions.read(reader, 100, true), '')
  t.ok(Buffer.isBuffer(versions.read(reader, 100)))
  versions.append()
  versions.expire()
  versions.trim()
  t.strictSame([versions.head, versions.length, versions.evicted, versions.beginning, versions.shift()], [1, 0, 0, 1, 0])
  versions.reset('members')
  t.equal(versions.head, 0)
})

t.test('every reader, whenever it reads, shows the same members', async t => {
  const step = fc.record({
    connection: fc.integer({ min: 0, max: 11 }),
    data: fc.constantFrom(undefined, '1', '2'),
    isLeaving: fc.boolean(),
    reads: fc.array(fc.integer({ min: 0, max: 2 }))
  })
  fc.assert(fc.property(fc.array(step, { maxLength: 60 }), fc.integer({ min: 3, max: 20 }), (steps, max) => {
    const { versions, reader, read } = setup(max)
    versions.publish(none, false)
    const known = new Map<string, ReturnType<typeof present>>()
    const readers = [reader(), reader(), reader()]
    const shown: PresenceState[] = readers.map(() => nobody)
    const readAs = (at: number) => {
      const frame = read(readers[at])
      if (frame !== undefined) shown[at] = applied(shown[at], frame)
    }
    for (const { connection, data, isLeaving, reads } of steps) {
      const id = `c${connection}`
      const [before, after] = [known.get(id), isLeaving ? undefined : present(id, data, `user_${connection % 6}`)]
      const isChange = (before === undefined) !== (after === undefined) || before?.data !== after?.data
      if (after === undefined) known.delete(id)
      else known.set(id, after)
      versions.publish(isChange ? new Map([[id, { before, after }]]) : none, false)
      for (const at of reads) readAs(at)
    }
    for (const at of readers.keys()) readAs(at)
    const byId = (one: { id: string }, other: { id: string }) => one.id < other.id ? -1 : 1
    const listOf = ({ members }: PresenceState) => members.map(({ userId, connections }) => [userId, [...connections].sort(byId)]).sort()
    const form = (state: PresenceState) => JSON.stringify([state.count, listOf(state)])
    const { size } = new Set([...known.values()].map(({ user }) => user))
    return shown.every(state => form(state) === form(shown[0]) && state.count === size && [0, size].includes(state.members.length))
  }))
  t.pass('for all changes')
})

import t from 'tap'
import { Flusher, slice, type Lane, type Writer } from '../../../lib/server/delivery/flush.js'
import { loopTurns } from '../../waiting.js'

/** Writer that notes its flushes. */
class Peer implements Writer {
  lane: Lane = 'none'
  readonly name: string
  readonly #flushed: string[]
  /** Called at each flush. Returns whether there is more to write. */
  onFlush: () => boolean = () => false

  constructor (name: string, flushed: string[]) {
    this.name = name
    this.#flushed = flushed
  }

  flush (): boolean {
    this.#flushed.push(this.name)
    return this.onFlush()
  }
}

function setup (t: { teardown (action: () => void): void }) {
  const flusher = new Flusher()
  t.teardown(() => flusher.close())
  const flushed: string[] = []
  const peers = (name: string, count: number) => Array.from({ length: count }, (_, n) => new Peer(`${name}${n + 1}`, flushed))
  const peer = (name: string) => new Peer(name, flushed)
  /** Names of the writers that are flushed in the next turn of the event loop. */
  const turn = async () => {
    await loopTurns(1)
    return flushed.splice(0)
  }
  return { flusher, flushed, peer, peers, turn }
}

const narrow = 1
const wide = slice + 1

t.test('a marked writer is flushed once in the next turn, also if it is marked several times', async t => {
  const { flusher, flushed, peer, turn } = setup(t)
  const [a, b] = [peer('a'), peer('b')]
  flusher.mark(a, narrow)
  flusher.mark(b, wide)
  flusher.mark(a, narrow)
  flusher.mark(b, wide)
  t.strictSame([a.lane, b.lane], ['narrow', 'wide'])
  t.strictSame(flushed, [], 'nothing is flushed in the current turn')
  t.strictSame(await turn(), ['a', 'b'])
  t.strictSame([a.lane, b.lane], ['none', 'none'])
  t.strictSame(await turn(), [])
  flusher.mark(a, narrow)
  t.strictSame(await turn(), ['a'], 'a writer that is marked again is flushed again')
})

t.test('a writer that is marked twice and has more to write waits for the next turn', async t => {
  for (const audience of [narrow, wide]) {
    const { flusher, peer, turn } = setup(t)
    const [a, b] = [peer('a'), peer('b')]
    let left = 2
    a.onFlush = () => --left > 0
    for (const each of [a, a, b]) flusher.mark(each, audience)
    t.strictSame(await turn(), ['a', 'b'])
    t.strictSame(await turn(), ['a'])
  }
})

t.test('an idle flusher schedules no turn of the event loop', async t => {
  const { flusher, peer, turn } = setup(t)
  flusher.mark(peer('a'), narrow)
  await turn()
  t.notOk(process.getActiveResourcesInfo().includes('Immediate'))
})

t.test('a flusher that is closed while it is idle ignores marks and callbacks', async t => {
  const { flusher, flushed, peer, turn } = setup(t)
  flusher.close()
  const late = peer('late')
  flusher.mark(late, narrow)
  flusher.before(() => flushed.push('before'))
  t.equal(late.lane, 'none')
  t.strictSame(await turn(), [])
})

t.test('an audience of more than a slice is wide', async t => {
  const { flusher, peer } = setup(t)
  const [a, b] = [peer('a'), peer('b')]
  flusher.mark(a, slice)
  flusher.mark(b, slice + 1)
  t.strictSame([a.lane, b.lane], ['narrow', 'wide'])
})

t.test('each turn flushes one slice per lane, in the order of the marks', async t => {
  const { flusher, peers, turn } = setup(t)
  const few = peers('few', slice + 10)
  const many = peers('many', slice * 2 + 10)
  for (const peer of many) flusher.mark(peer, many.length)
  for (const peer of few) flusher.mark(peer, narrow)
  const names = (of: Peer[]) => of.map(({ name }) => name)
  t.strictSame(await turn(), names([...few.slice(0, slice), ...many.slice(0, slice)]))
  t.strictSame(await turn(), names([...few.slice(slice), ...many.slice(slice, slice * 2)]))
  t.strictSame(await turn(), names(many.slice(slice * 2)))
  t.strictSame(await turn(), [])
})

t.test('a writer of the narrow lane does not wait behind writers of the wide lane', async t => {
  const { flusher, peer, peers, turn } = setup(t)
  for (const peer of peers('many', slice * 5)) flusher.mark(peer, wide)
  await turn()
  flusher.mark(peer('token'), narrow)
  t.equal((await turn())[0], 'token')
})

t.test('a writer of the wide lane that is marked narrow overtakes the others, and is flushed once', async t => {
  const { flusher, peers, turn } = setup(t)
  const many = peers('many', slice * 2)
  for (const peer of many) flusher.mark(peer, wide)
  const last = many[many.length - 1]
  flusher.mark(last, narrow)
  flusher.mark(last, wide)
  t.equal(last.lane, 'narrow', 'a wide mark does not move it back')
  const first = await turn()
  t.equal(first[0], last.name)
  t.equal(first.length, 1 + slice)
  t.strictSame(await turn(), many.slice(slice, -1).map(({ name }) => name), 'its old place is skipped')
})

t.test('a writer that is marked wide again after its narrow flush is flushed once more', async t => {
  const { flusher, peers, turn } = setup(t)
  const [a, ...rest] = peers('many', slice * 2)
  const many = [...rest, a]
  for (const peer of many) flusher.mark(peer, wide)
  flusher.mark(a, narrow)
  await turn()
  flusher.mark(a, wide)
  t.equal((await turn()).filter(name => name === a.name).length, 1)
  t.strictSame(await turn(), [])
  t.equal(a.lane, 'none')
})

t.test('skipped places do not count against the slice of a turn', async t => {
  const { flusher, peers, turn } = setup(t)
  const overtaking = peers('overtaking', slice)
  const many = peers('many', slice)
  for (const peer of [...overtaking, ...many]) flusher.mark(peer, wide)
  for (const peer of overtaking) flusher.mark(peer, narrow)
  t.equal((await turn()).length, 2 * slice)
})

t.test('the wide lane is not starved by a narrow lane that is never empty', async t => {
  const { flusher, peers, turn } = setup(t)
  for (const peer of peers('busy', slice * 3)) {
    peer.onFlush = () => true
    flusher.mark(peer, narrow)
  }
  const many = peers('many', slice * 4)
  for (const peer of many) flusher.mark(peer, wide)
  const seen: string[] = []
  for (let n = 0; n < 4; n++) seen.push(...await turn())
  t.strictSame(seen.filter(name => name.startsWith('many')), many.map(({ name }) => name))
})

t.test('a writer with more to write is flushed again in a later turn, after the waiting writers', async t => {
  for (const audience of [narrow, wide]) {
    const { flusher, peer, peers, turn } = setup(t)
    const long = peer('long')
    let left = 3
    long.onFlush = () => --left > 0
    flusher.mark(long, audience)
    const others = peers('other', slice)
    for (const other of others) flusher.mark(other, audience)
    t.strictSame(await turn(), ['long', ...others.slice(0, -1).map(({ name }) => name)])
    t.equal(long.lane, audience === narrow ? 'narrow' : 'wide')
    t.strictSame(await turn(), [others[slice - 1].name, 'long'])
    t.strictSame(await turn(), ['long'])
    t.strictSame(await turn(), [])
  }
})

t.test('a writer that is marked while its lane is flushed is flushed in a later turn, in the order of the marks', async t => {
  const { flusher, peer, turn } = setup(t)
  const [a, b, c] = [peer('a'), peer('b'), peer('c')]
  let left = 2
  a.onFlush = () => {
    flusher.mark(b, narrow)
    flusher.mark(c, wide)
    if (--left > 0) flusher.mark(a, narrow)
    return false
  }
  flusher.mark(a, narrow)
  t.strictSame(await turn(), ['a', 'c'], 'the wide lane is flushed after the narrow one')
  t.strictSame(await turn(), ['b', 'a', 'c'], 'in the order of the marks')
  t.strictSame(await turn(), ['b'])
})

t.test('callbacks of before() run once and in order, before the writers that they mark are flushed', async t => {
  const { flusher, flushed, peer, turn } = setup(t)
  const [a, b] = [peer('a'), peer('b')]
  flusher.mark(a, narrow)
  flusher.before(() => {
    flushed.push('first')
    flusher.mark(b, wide)
    flusher.before(() => flushed.push('later'))
  })
  flusher.before(() => flushed.push('second'))
  t.strictSame(flushed, [], 'nothing is flushed in the current turn')
  t.strictSame(await turn(), ['first', 'second', 'a', 'b'])
  t.strictSame(await turn(), ['later'], 'a callback that is added meanwhile runs in the next turn')
  t.strictSame(await turn(), [])
})

t.test('a closed flusher flushes no writers and runs no callbacks', async t => {
  const { flusher, peers, turn } = setup(t)
  for (const peer of peers('narrow', slice * 2)) flusher.mark(peer, narrow)
  for (const peer of peers('wide', slice * 2)) flusher.mark(peer, wide)
  t.equal((await turn()).length, 2 * slice)
  flusher.before(() => t.fail('a callback that was added before close() ran'))
  flusher.close()
  flusher.before(() => t.fail('a callback that was added after close() ran'))
  t.strictSame(await turn(), [])
  t.doesNotThrow(() => flusher.close())
})

for (const audience of [narrow, wide]) {
  t.test(`a flusher that is closed during a flush flushes nothing more, and schedules no turn of the event loop (audience: ${audience})`, async t => {
    const { flusher, peers, turn } = setup(t)
    const [first, ...others] = peers('peer', slice * 2)
    first.onFlush = () => {
      flusher.before(() => t.fail('a callback that was added before close() ran'))
      flusher.close()
      return true
    }
    for (const peer of [first, ...others]) flusher.mark(peer, audience)
    t.strictSame(await turn(), [first.name])
    t.strictSame(await turn(), [])
    t.notOk(process.getActiveResourcesInfo().includes('Immediate'))
  })
}

import fc from 'fast-check'
import t from 'tap'
import { Lanes } from '../../../lib/server/inbound/lanes.js'
import { heapLeftBy } from '../../leaks.js'

t.test('messages of one channel are handled in order and one at a time, and no channel waits for another', async t => {
  const lanes = new Lanes<string>()
  for (const work of ['a1', 'a2', 'b1']) lanes.add(work[0], work)
  t.equal(lanes.isBusy, false)
  t.equal(lanes.begin('a'), 'a1')
  t.equal(lanes.begin('a'), undefined, 'a1 is being handled')
  t.equal(lanes.begin('b'), 'b1')
  t.strictSame([lanes.isBusy, lanes.current], [true, ['a1', 'b1']])
  t.equal(lanes.finish('a', 'a1'), true)
  t.strictSame(lanes.current, ['b1'])
  t.equal(lanes.begin('a'), 'a2')
  t.equal(lanes.finish('a', 'a2'), true)
  t.equal(lanes.finish('b', 'b1'), true)
  t.strictSame([lanes.begin('a'), lanes.begin('c'), lanes.isBusy, lanes.current], [undefined, undefined, false, []])
})

t.test('has() finds messages of the channel that wait and the one that is being handled', async t => {
  const lanes = new Lanes<string>()
  const has = (channel: string, work: string) => lanes.has(channel, other => other.startsWith(work))
  t.equal(has('a', 'a1'), false)
  for (const work of ['a1', 'a2']) lanes.add('a', work)
  t.strictSame([has('a', 'a1'), has('a', 'a2'), has('b', 'a1')], [true, true, false])
  lanes.begin('a')
  t.strictSame([has('a', 'a1'), has('a', 'a2'), has('a', 'a3')], [true, true, false])
  lanes.finish('a', 'a1')
  t.strictSame([has('a', 'a1'), has('a', 'a2')], [false, true])
})

t.test('drop() returns the messages of a channel that wait, and the one that was being handled ends no later one', async t => {
  const lanes = new Lanes<string>()
  for (const work of ['a1', 'a2', 'a3', 'b1']) lanes.add(work[0], work)
  lanes.begin('a')
  t.strictSame(lanes.drop('a'), ['a2', 'a3'])
  t.strictSame([lanes.isBusy, lanes.drop('a'), lanes.drop('c')], [false, [], []])
  lanes.add('a', 'a4')
  t.equal(lanes.begin('a'), 'a4')
  t.equal(lanes.finish('a', 'a1'), false)
  t.strictSame(lanes.current, ['a4'])
  t.equal(lanes.begin('b'), 'b1', 'another channel is not affected')
})

t.test('clear() returns the messages of all channels that wait, and those that are being handled can finish', async t => {
  const lanes = new Lanes<string>()
  for (const work of ['a1', 'a2', 'b1']) lanes.add(work[0], work)
  lanes.begin('a')
  t.strictSame(lanes.clear(), ['a2', 'b1'])
  t.strictSame([lanes.current, lanes.begin('b')], [['a1'], undefined])
  t.equal(lanes.finish('a', 'a1'), true)
  t.equal(lanes.isBusy, false)
})

t.test('every added message is begun once, dropped or cleared, whatever the order of the calls', async t => {
  const channel = fc.constantFrom('a', 'b', 'c')
  const call = fc.tuple(fc.constantFrom('add', 'begin', 'finish', 'drop', 'clear'), channel)
  t.doesNotThrow(() => fc.assert(fc.property(fc.array(call, { maxLength: 60 }), calls => {
    const lanes = new Lanes<number>()
    const waiting = new Map<string, number[]>()
    const running = new Map<string, number>()
    const of = (name: string) => waiting.get(name) ?? []
    return calls.every(([name, at], n) => {
      if (name === 'add') {
        lanes.add(at, n)
        waiting.set(at, [...of(at), n])
        return true
      }
      if (name === 'begin') {
        const next = running.has(at) ? undefined : of(at)[0]
        if (next !== undefined) {
          waiting.set(at, of(at).slice(1))
          running.set(at, next)
        }
        return lanes.begin(at) === next
      }
      if (name === 'finish') {
        const current = running.get(at)
        return current === undefined || (running.delete(at) && lanes.finish(at, current))
      }
      const dropped = name === 'drop' ? lanes.drop(at) : lanes.clear()
      const expected = name === 'drop' ? of(at) : [...waiting.values()].flat()
      if (name === 'drop') running.delete(at)
      for (const channel of name === 'drop' ? [at] : waiting.keys()) waiting.set(channel, [])
      return dropped.sort().join() === expected.sort().join() && lanes.isBusy === (running.size > 0)
    })
  }), { numRuns: 300 }))
})

t.test('nothing is left of 10,000 channels whose messages are handled', async t => {
  const lanes = new Lanes<string>()
  const left = await heapLeftBy(() => {
    for (let n = 0; n < 10_000; n++) {
      const channel = `${n} ${'x'.repeat(500)}`
      lanes.add(channel, 'a')
      lanes.begin(channel)
      lanes.finish(channel, 'a')
      lanes.begin(channel)
    }
  })
  t.ok(left < 2_000_000, `${left} bytes`)
})

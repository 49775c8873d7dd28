import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import t from 'tap'
import { Deque } from '../../lib/logs/deque.js'

t.test('a deque behaves like an array, whatever is done to it', async () => {
  const action = fc.oneof(
    { weight: 6, arbitrary: fc.constant('push' as const) },
    { weight: 5, arbitrary: fc.constant('shift' as const) },
    { weight: 1, arbitrary: fc.constant('clear' as const) })
  const actions = fc.array(fc.record({ action, times: fc.integer({ min: 1, max: 200 }) }), { maxLength: 40 })
  fc.assert(fc.property(actions, fc.boolean(), (actions, keepsRoom) => {
    const deque = new Deque<number>(keepsRoom)
    let model: number[] = []
    let next = 0
    for (const { action, times } of actions) {
      for (let time = 0; time < times; time++) {
        if (action === 'push') model.push(deque.push(next) ?? next++)
        if (action === 'shift' && deque.shift() !== model.shift()) throw new Error('another item was shifted')
        if (action === 'clear') deque.clear()
        if (action === 'clear') model = []
      }
      const edges = [-1, 0, model.length >> 1, model.length - 1, model.length]
      if (deque.length !== model.length || edges.some(at => deque.at(at) !== model[at])) throw new Error('another item is in its place')
      if ([...deque].join() !== model.join()) throw new Error('it is iterated in another order')
    }
  }), { numRuns: 200 })
})

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** Bytes that a deque holds after 262,144 items were pushed and all but one were shifted. */
function bytesAfterItsPeak (deque: Deque<number>): number {
  collect()
  const { heapUsed: before } = process.memoryUsage()
  for (let n = 0; n < 262_144; n++) deque.push(n)
  while (deque.length > 1) deque.shift()
  collect()
  return process.memoryUsage().heapUsed - before
}

t.test('a deque gives back the memory of items that were shifted, unless it is created to keep its room', async t => {
  const [shrinking, keeping] = [new Deque<number>(), new Deque<number>(true)]
  const bytes = [bytesAfterItsPeak(shrinking), bytesAfterItsPeak(keeping)]
  t.ok(bytes[0] < 200_000, `${bytes[0]} bytes`)
  t.ok(bytes[1] > 1_500_000, `${bytes[1]} bytes`)
  t.strictSame([shrinking.at(0), keeping.at(0)], [262_143, 262_143])
})

import { Value } from '@sinclair/typebox/value'
import t from 'tap'
import { count, hook, ms, section } from '../../lib/options/define.js'

t.test('a section has the defaults of its options, and refuses wrong values and unknown options', async t => {
  const limits = section({ rate: count(20, 'per second'), wait: ms(5_000, 'ms'), onEnd: hook<() => void>('called at the end') })
  t.strictSame(Value.Default(limits, {}), { rate: 20, wait: 5_000 })
  t.equal(Value.Check(limits, { rate: 1, wait: 1, onEnd () {} }), true)
  for (const wrong of [{ rate: 0 }, { rate: 1.5 }, { wait: 2 ** 31 }, { wait: 0 }, { onEnd: 'x' }, { other: 1 }]) {
    t.equal(Value.Check(limits, { rate: 1, wait: 1, ...wrong }), false, JSON.stringify(wrong))
  }
})

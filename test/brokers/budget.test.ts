import fc from 'fast-check'
import t from 'tap'
import { Budget } from '../../lib/brokers/budget.js'

t.test('no holder gets more than is still free, so that something is left for the next holder', async t => {
  const budget = new Budget(1_000)
  const fill = (holder: string) => {
    while (budget.take(holder));
    return budget.heldBy(holder)
  }
  t.equal(fill('a'), 500)
  t.equal(fill('b'), 250)
  t.equal(budget.take('c'), true)
  t.equal(budget.take('a'), false)
  budget.release('a', 500)
  t.equal(fill('b'), 500)
  t.equal(budget.heldBy('a'), 0)
})

t.test('the first holder gets a budget of one until it releases it', async t => {
  const budget = new Budget(1)
  t.strictSame([budget.take('a'), budget.take('a'), budget.take('b')], [true, false, false])
  budget.release('a')
  t.equal(budget.take('b'), true)
})

t.test('holders that release everything are forgotten', async t => {
  const budget = new Budget(1_000_000)
  for (let n = 0; n < 10_000; n++) budget.take(`user ${n}`, n % 7)
  for (let n = 0; n < 10_000; n++) budget.release(`user ${n}`, budget.heldBy(`user ${n}`))
  t.strictSame([budget.used, budget.size, [...budget.heaviest()]], [0, 0, []])
})

t.test('heaviest returns amounts up to 16 in exact order, even after they have changed', async t => {
  const budget = new Budget(1_000)
  for (let amount = 1; amount <= 16; amount++) budget.add(`${amount}`, amount)
  const order = () => [...budget.heaviest()].map(({ held }) => held)
  const descending = Array.from({ length: 16 }, (_, at) => 16 - at)
  t.strictSame(order(), descending)
  for (let amount = 1; amount <= 16; amount++) budget.add(`${amount}`, 17 - 2 * amount)
  t.strictSame(order(), descending)
  for (let amount = 2; amount <= 16; amount += 2) budget.release(`${amount}`)
  t.strictSame(order(), order().sort((a, b) => b - a))
})

t.test('the sums are exact, take gives no more than is free, and heaviest returns the holders in order to within a fifth', async () => {
  const step = fc.record({ holder: fc.nat(8), amount: fc.integer({ min: -500, max: 3_000 }), isAsked: fc.boolean() })
  fc.assert(fc.property(fc.array(step, { maxLength: 80 }), steps => {
    const budget = new Budget(20_000)
    const held = new Map<string, number>()
    for (const { holder: number, amount, isAsked } of steps) {
      const holder = `h${number}`
      const before = held.get(holder) ?? 0
      const change = Math.max(amount, -before)
      const free = 20_000 - [...held.values()].reduce((sum, each) => sum + each, 0)
      const isAllowed = before + change <= free
      if (isAsked && budget.take(holder, change) !== isAllowed) throw new Error('the answer is wrong')
      if (!isAsked) budget.add(holder, change)
      if (!isAsked || isAllowed) held.set(holder, before + change)
    }
    const sum = [...held.values()].reduce((sum, each) => sum + each, 0)
    if (budget.used !== sum || [...held].some(([holder, amount]) => budget.heldBy(holder) !== amount)) throw new Error('a sum is wrong')
    const amounts = [...budget.heaviest()].map(({ holder }) => held.get(holder)!)
    if (amounts.length !== [...held.values()].filter(amount => amount > 0).length) throw new Error('a holder is missing')
    if (amounts.some((amount, at) => amounts.slice(at + 1).some(later => later > amount * 1.2))) throw new Error(`the order is wrong: ${amounts}`)
  }), { numRuns: 300 })
})

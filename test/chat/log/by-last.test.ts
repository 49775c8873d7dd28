import fc from 'fast-check'
import t from 'tap'
import { ByLast } from '../../../lib/chat/log/by-last.js'

interface Item {
  last: number
  previous?: Item
  next?: Item
}

function itemsOf ({ newest }: ByLast<Item>): Item[] {
  const items: Item[] = []
  for (let item = newest; item !== undefined; item = item.previous) items.unshift(item)
  return items
}

t.test('the items are in the order in which they were moved to the end, without deleted ones', async () => {
  const steps = fc.array(fc.record({ item: fc.nat(6), isDeleted: fc.boolean() }), { maxLength: 60 })
  fc.assert(fc.property(steps, steps => {
    const list = new ByLast<Item>()
    const items = Array.from({ length: 7 }, (): Item => ({ last: 0 }))
    let model: Item[] = []
    for (const { item: index, isDeleted } of steps) {
      const item = items[index]
      model = model.filter(other => other !== item)
      if (isDeleted) list.delete(item)
      else model.push((list.moveToEnd(item), item))
      if (itemsOf(list).some((other, at) => other !== model[at]) || itemsOf(list).length !== model.length) throw new Error('the order differs')
    }
  }), { numRuns: 300 })
})

t.test('a cleared list is empty', async t => {
  const list = new ByLast<Item>()
  list.moveToEnd({ last: 1 })
  list.clear()
  t.equal(list.newest, undefined)
})

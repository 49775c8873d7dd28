import fc from 'fast-check'
import t from 'tap'
import type { Entry } from '../../../lib/presence/log/entry.js'
import { mergedChange, Roster } from '../../../lib/presence/log/roster.js'

const connection = (id: string, data?: string) => ({ id, user: `user_${id}`, data })
const state = (node: string, ...present: Array<ReturnType<typeof connection>>): Entry => ({ kind: 'state', node, present })
const ids = (roster: Roster) => [...roster.takeAll().keys()].sort()

t.test('a state replaces what a node had, and leaves the other nodes alone', async t => {
  const roster = new Roster()
  roster.apply(state('n1', connection('a'), connection('b')), 0)
  roster.apply(state('n2', connection('c')), 0)
  t.strictSame([...roster.take().keys()], ['a', 'b', 'c'])
  roster.apply(state('n1', connection('b', '1'), connection('d')), 1)
  const changes = roster.take()
  t.strictSame([...changes].map(([id, { before, after }]) => [id, before?.data, after?.data, after === undefined]), [
    ['b', undefined, '1', false], ['d', undefined, undefined, false], ['a', undefined, undefined, true]
  ])
  t.strictSame(ids(roster), ['b', 'c', 'd'])
})

t.test('changes that cancel each other out are none', async t => {
  const roster = new Roster()
  roster.apply(state('n1', connection('a', '1')), 0)
  roster.take()
  roster.apply({ kind: 'change', node: 'n1', present: [connection('b'), connection('a', '2')], gone: [] }, 0)
  roster.apply({ kind: 'change', node: 'n1', present: [connection('a', '1')], gone: ['b'] }, 0)
  t.equal(roster.take().size, 0)
})

t.test('a node that announces its end keeps its connections until it is dropped', async t => {
  const roster = new Roster()
  roster.apply(state('n1', connection('a')), 0)
  roster.apply({ kind: 'bye', node: 'n1' }, 1)
  t.strictSame([roster.leaving, roster.silentSince(10), ids(roster)], [['n1'], [], ['a']])
  roster.drop('n1')
  roster.drop('unknown')
  t.strictSame([roster.leaving, ids(roster)], [[], []])
})

t.test('a node is silent since its last entry', async t => {
  const roster = new Roster()
  roster.apply(state('n1', connection('a')), 0)
  roster.apply(state('n2', connection('b')), 5)
  t.strictSame(roster.silentSince(5), ['n1'])
  roster.apply(state('n1', connection('a')), 6)
  t.strictSame(roster.silentSince(5), [])
})

t.test('the changes that are taken, applied in order, give the connections of all nodes', async t => {
  const entry = fc.record({
    node: fc.constantFrom('n1', 'n2'),
    isState: fc.boolean(),
    here: fc.uniqueArray(fc.integer({ min: 0, max: 4 })),
    gone: fc.uniqueArray(fc.integer({ min: 0, max: 4 })),
    data: fc.constantFrom(undefined, '1', '2')
  })
  fc.assert(fc.property(fc.array(entry), fc.integer({ min: 1, max: 4 }), (entries, every) => {
    const roster = new Roster()
    const shown = new Map<string, string | undefined>()
    const show = () => {
      for (const [id, { before, after }] of roster.take()) {
        if (shown.has(id) !== (before !== undefined)) throw new Error(`${id} was ${before === undefined ? '' : 'not '}shown`)
        if (after === undefined) shown.delete(id)
        else shown.set(id, after.data)
      }
    }
    for (const [at, { node, isState, here, gone, data }] of entries.entries()) {
      const present = here.map(n => connection(`${node}-${n}`, data))
      const left = gone.filter(n => !here.includes(n)).map(n => `${node}-${n}`)
      roster.apply(isState ? { kind: 'state', node, present } : { kind: 'change', node, present, gone: left }, at)
      if (at % every === 0) show()
    }
    show()
    const all = new Map([...roster.takeAll()].map(([id, { after }]) => [id, after!.data]))
    return JSON.stringify([...shown].sort()) === JSON.stringify([...all].sort())
  }))
  t.pass('for all sequences of entries')
})

t.test('two consecutive changes are one, from the first before to the last after', async t => {
  const [one, two] = [connection('a', '1'), connection('a', '2')]
  t.strictSame(mergedChange({ before: undefined, after: one }, { before: one, after: two }), { before: undefined, after: two })
  t.equal(mergedChange({ before: undefined, after: one }, { before: one, after: undefined }), undefined)
})

t.test('a state in several entries removes what it lacks with its last entry', async t => {
  const roster = new Roster()
  const part = (part: number, hasMore: boolean, ...present: Array<ReturnType<typeof connection>>) =>
    roster.apply({ kind: 'state', node: 'n1', present, part, hasMore }, 0)
  part(1, false, connection('b'))
  part(0, true, connection('a'))
  t.strictSame(ids(roster), ['a', 'b'], 'a state without its beginning removes nothing')
  part(0, true, connection('c'))
  part(1, true, connection('d'))
  t.strictSame(ids(roster), ['a', 'b', 'c', 'd'])
  part(2, false, connection('e'))
  t.strictSame(ids(roster), ['c', 'd', 'e'], 'an entry of a state that was begun and not ended does not count')
})

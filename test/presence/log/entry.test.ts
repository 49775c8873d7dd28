import t from 'tap'
import { decodeEntry, encodeEntry, splitEntry, type Entry, type State } from '../../../lib/presence/log/entry.js'
import { every } from '../../every.js'

t.test('each kind of entry is decoded as it was encoded, with its version', async t => {
  const present = [{ id: 'c1', user: 'ada', data: '{"typing":true}' }, { id: 'c2', user: 'bob' }]
  const entries: Entry[] = [
    { kind: 'state', node: 'n1', present, hello: true },
    { kind: 'change', node: 'n1', present, gone: ['c3'] },
    { kind: 'bye', node: 'n1' }
  ]
  for (const entry of entries) t.match(decodeEntry(encodeEntry(entry)), entry)
})

t.test('an entry of another version is ignored', async t => {
  t.equal(decodeEntry(JSON.stringify({ type: 'presence', version: 2, kind: 'bye', node: 'n1' })), undefined)
})

const full = Array.from({ length: 10_000 }, (_, n) => ({ id: `c${n}`, user: `user_${n}`, data: JSON.stringify('x'.repeat(1_000)) }))

t.test('an entry with many connections is split, and each part is below 256 KiB', async t => {
  const parts = splitEntry({ kind: 'state', node: 'n1', present: full, hello: true }) as State[]
  t.ok(every(parts, part => encodeEntry(part).length < 256 * 1024))
  t.strictSame(parts.flatMap(({ present }) => present), full)
  t.strictSame(parts.map(({ part }) => part), [...parts.keys()])
  t.strictSame(parts.filter(({ hello }) => hello === true), [parts[0]])
  t.strictSame(parts.filter(({ hasMore }) => hasMore === false), [parts.at(-1)])
  const changes = splitEntry({ kind: 'change', node: 'n1', present: full, gone: ['a'] })
  t.strictSame(changes.flatMap(change => change.kind === 'change' ? change.gone : []), ['a'])
  t.equal(changes.length, parts.length)
})

t.test('an entry with few connections is not split', async t => {
  const entries: Entry[] = [{ kind: 'state', node: 'n1', present: [] }, { kind: 'change', node: 'n1', present: full.slice(0, 9), gone: [] }, { kind: 'bye', node: 'n1' }]
  t.strictSame(entries.map(splitEntry), entries.map(entry => [entry]))
})

t.test('a connection that exceeds the length of a part is a part of its own', async t => {
  const large = { id: 'c', user: 'u', data: JSON.stringify('x'.repeat(200_000)) }
  t.equal(splitEntry({ kind: 'state', node: 'n1', present: [large, large] }).length, 2)
})

import t from 'tap'
import { decodeEntry, encodeEntry, type Entry } from '../../../lib/presence/log/entry.js'

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

import { TypeCompiler } from '@sinclair/typebox/compiler'
import fc from 'fast-check'
import t from 'tap'
import { idPattern, idRule, isId } from '../../lib/protocol/ids.js'
import { Id } from '../../lib/protocol/schemas.js'

const right = ['a', 'Z9', 'user_123', 'a.b@c:d+e~f|g-h', '...', '....', '.a', 'a.', '..a', 'a..', '-', '~', 'x'.repeat(128), '.'.repeat(128)]
const wrong = [
  '', '.', '..', '%2e', '%2E%2e', '.%2e', '%2e.', 'x'.repeat(129), 'a/b', '../a', 'a/..', 'a\\b', '..\\', 'a b', 'a%2Fb', 'ü', '漢', 'a\n', '\na', '..\n', 'a\0',
  'a*', 'a?', '[a]', '{a}', 'a,b', 'a;b', '#', '&', '=', '"', "'", undefined, null, 5, {}, ['a'], ['..'], Object('a')
]

t.test('an id has 1 to 128 allowed characters, and is neither . nor ..', async t => {
  for (const id of right) t.equal(isId(id), true, id)
  for (const id of wrong) t.equal(isId(id), false, JSON.stringify(id))
})

t.test('the schema of ids and isId accept the same values', async t => {
  const schema = TypeCompiler.Compile(Id)
  t.equal(Id.pattern, idPattern)
  for (const id of [...right, ...wrong]) t.equal(schema.Check(id), isId(id), JSON.stringify(id))
  fc.assert(fc.property(fc.string({ unit: fc.constantFrom(...'a.%2eE/|~+:'), maxLength: 6 }), text => schema.Check(text) === isId(text)), { numRuns: 5_000 })
})

t.test('a URL parser does not change an id in a path', async t => {
  const id = fc.string({ unit: fc.constantFrom(...'aA0_.@:+~|-'), minLength: 1, maxLength: 6 }).filter(isId)
  fc.assert(fc.property(id, id, (one, other) => {
    const { pathname } = new URL(`http://host/ws/${encodeURIComponent(one)}/${other}/end`)
    return decodeURIComponent(pathname) === `/ws/${one}/${other}/end`
  }), { numRuns: 5_000 })
  t.equal(new URL('http://host/ws/a/b/%2e%2e/.%2e/%2e/end').pathname, '/ws/end', 'a URL parser removes the refused segments')
})

t.test('idRule names the characters and the segments of the rule', async t => {
  for (const part of ['128', '_ . @ : + ~ - |', "'.'", "'..'"]) t.match(idRule, part)
})

import t from 'tap'
import { kindPattern } from '../../lib/protocol/kind-name.js'

t.test('the name of a channel kind is a lower-case letter and up to 31 lower-case letters, digits and _', async t => {
  const pattern = new RegExp(kindPattern)
  for (const name of ['a', 'board', 'task_list2', `a${'0'.repeat(31)}`]) t.match(name, pattern)
  for (const name of ['', '_a', '1a', 'Board', 'a-b', 'a:b', 'a b', 'é', 'board\n', `a${'0'.repeat(32)}`]) t.notMatch(name, pattern)
})

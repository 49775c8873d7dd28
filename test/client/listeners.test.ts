import t from 'tap'
import { listeners } from '../../lib/client/listeners.js'
import { loopTurns } from '../waiting.js'

t.test('a function that is added twice is called twice, and each of the two can be removed', async t => {
  const heard: unknown[] = []
  const all = listeners(error => { throw error })
  const listener = (value: unknown) => heard.push(value)
  const ends = [all.add('a', listener), all.add('a', listener)]
  all.tell('a', 1)
  t.strictSame(heard, [1, 1])
  ends[0]()
  ends[0]()
  all.tell('a', 2)
  t.strictSame(heard, [1, 1, 2])
  all.tell('b', 3)
  t.equal(heard.length, 3)
})

t.test('an error or rejection of a listener is reported, and the others are called', async t => {
  const reported: unknown[] = []
  const heard: unknown[] = []
  const all = listeners(error => reported.push((error as Error).message))
  all.add('a', () => { throw new Error('thrown') })
  all.add('a', async () => { throw new Error('rejected') })
  all.add('a', value => { heard.push(value); return null })
  all.tell('a', 1)
  await loopTurns()
  t.strictSame([heard, reported], [[1], ['thrown', 'rejected']])
})

t.test('a listener that is removed during a call is still called once', async t => {
  const heard: string[] = []
  const all = listeners(error => { throw error })
  all.add('a', () => { heard.push('first'); end() })
  const end = all.add('a', () => { heard.push('second') })
  all.tell('a')
  all.tell('a')
  t.strictSame(heard, ['first', 'second', 'first'])
})

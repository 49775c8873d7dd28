import t from 'tap'
import { quiet } from '../../../lib/chat/runs/part.js'
import { loopTurns } from '../../waiting.js'

t.test('a rejection of a quiet promise needs no handler, and an await still throws it', async t => {
  const unhandled: unknown[] = []
  const note = (error: unknown) => unhandled.push(error)
  process.on('unhandledRejection', note)
  t.teardown(() => process.off('unhandledRejection', note))
  const failed = Promise.reject(new Error('no'))
  t.equal(quiet(failed), failed)
  await loopTurns()
  t.strictSame(unhandled, [])
  await t.rejects(failed, { message: 'no' })
  t.equal(await quiet(Promise.resolve(5)), 5)
})

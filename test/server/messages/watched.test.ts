import t from 'tap'
import { guarded, warnOf, watched } from '../../../lib/server/messages/watched.js'
import { loopTurns } from '../../waiting.js'

const failure = Object.assign(new Error('it failed'), { code: 'RT_ERR_X' })

/** Promises that reject: synchronously, from a rejected promise, later, and from a watched promise. */
const makers: Record<string, (onUnheard: (error: unknown) => void) => Promise<unknown>> = {
  'a throw': onUnheard => guarded(() => { throw failure }, onUnheard),
  'a rejected promise': onUnheard => guarded(() => Promise.reject(failure), onUnheard),
  'a late rejection': onUnheard => guarded(async () => { await loopTurns(1); throw failure }, onUnheard),
  'a promise that is passed on': onUnheard => guarded(() => watched((_resolve, reject) => { loopTurns(1).then(() => reject(failure)) }, onUnheard), () => t.fail('it was reported twice'))
}

const unhandled: unknown[] = []
process.on('unhandledRejection', error => unhandled.push(error))

for (const [name, make] of Object.entries(makers)) {
  t.test(`${name} without a handler is reported once, and a handler that is attached later gets it`, async t => {
    const reported: unknown[] = []
    const promise = make(error => reported.push(error))
    await loopTurns()
    t.strictSame(reported, [failure])
    await t.rejects(promise, failure)
    t.equal(reported.length, 1)
  })

  t.test(`${name} is not reported if it is awaited, caught or passed to Promise.all`, async t => {
    const onUnheard = () => t.fail('it was reported')
    await t.rejects(make(onUnheard), failure)
    await t.rejects((async () => { await make(onUnheard) })(), failure)
    t.equal(await make(onUnheard).catch(error => error), failure)
    await t.rejects(Promise.all([make(onUnheard)]), failure)
    t.strictSame(await Promise.allSettled([make(onUnheard)]), [{ status: 'rejected', reason: failure }])
    await loopTurns()
  })
}

t.test('guarded() and watched() resolve with the result, and a synchronous result gives a plain promise', async t => {
  const onUnheard = () => t.fail('it was reported')
  const atOnce = guarded(() => 1, onUnheard)
  t.equal(atOnce.constructor, Promise)
  t.strictSame([await atOnce, await guarded(async () => 2, onUnheard)], [1, 2])
  t.equal(await watched<number>(resolve => resolve(3), onUnheard), 3)
})

t.test('a promise that the app derives is a plain promise, and its rejection is not handled by the plugin', async t => {
  const derived = makers['a throw'](() => t.fail('it was reported')).finally(() => {})
  t.equal(derived.constructor, Promise)
  await loopTurns()
  t.strictSame(unhandled.splice(0), [failure])
})

t.test('an unhandled rejection is logged at warn with its code, and an error of the logger is ignored', async t => {
  const lines: unknown[] = []
  warnOf({ warn: (...line) => lines.push(line) }, 'A message was not sent')(failure)
  t.match(lines, [[{ code: 'RT_ERR_X', err: failure }, /^realtime: A message was not sent, and nothing handles the rejection: it failed\./]])
  t.doesNotThrow(() => warnOf({ warn () { throw failure } }, 'x')(null))
})

t.test('only rejections of derived promises are unhandled', async t => t.strictSame(unhandled, []))
